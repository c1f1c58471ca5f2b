"""A shop's project: its tables, and asking for them in every way there is."""

from typing import Any

import asyncpg
import httpx

from tests.gateway.answers import assert_refused
from tests.gateway.scene import Gateway

SHOP = """
    CREATE SCHEMA app;
    CREATE TYPE app.mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN short AS varchar(5);
    CREATE TABLE book (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, title text NOT NULL, price numeric(10, 2), sold bigint,
        tags text[], mood app.mood, at timestamptz DEFAULT '2026-01-01Z', meta jsonb
    );
    INSERT INTO book (title, price, sold, tags, mood, meta) VALUES
        ('Looms', 10.10, 5, '{a,b}', 'glad', '{"pages": 300}'), ('Wool', 5.00, 7, '{a}', NULL, NULL),
        ('Sheep', 7.50, 0, NULL, 'sad', NULL);
    CREATE FUNCTION touch() RETURNS int LANGUAGE sql VOLATILE AS
        $$ INSERT INTO book (title) VALUES ('touched') RETURNING id $$;
    CREATE TABLE pair (a int, b int, n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
    CREATE VIEW cheap AS SELECT id, title FROM book WHERE price < 8;
    COMMENT ON TABLE book IS 'What is sold <script>';
    COMMENT ON COLUMN book.price IS 'In euros';
    CREATE FUNCTION add(a int, b int DEFAULT 10) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
    CREATE FUNCTION app.found(lowest bigint) RETURNS SETOF book LANGUAGE sql STABLE AS
        'SELECT * FROM book WHERE sold >= lowest ORDER BY id';
    CREATE FUNCTION one(wanted int) RETURNS book LANGUAGE sql STABLE AS 'SELECT * FROM book WHERE id = wanted';
    CREATE FUNCTION halved(x int, OUT double int, OUT half numeric) LANGUAGE sql IMMUTABLE AS 'SELECT x * 2, x / 2.0';
    CREATE FUNCTION listed(x int) RETURNS TABLE (n int, t text) LANGUAGE sql STABLE AS
        'SELECT g, g::text FROM generate_series(1, x) AS g';
    CREATE FUNCTION quiet() RETURNS void LANGUAGE sql VOLATILE AS $$ UPDATE book SET sold = coalesce(sold, 0) + 1 $$;
    CREATE FUNCTION same(x int) RETURNS text LANGUAGE sql AS $$ SELECT 'int' $$;
    CREATE FUNCTION same(x text) RETURNS text LANGUAGE sql AS $$ SELECT 'text' $$;
    CREATE FUNCTION unnamed(int, text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
        $$ SELECT $1 || array_to_string($2, ',') $$;
    CREATE FUNCTION mooded(m app.mood, j jsonb) RETURNS jsonb LANGUAGE sql STABLE AS
        $$ SELECT jsonb_build_object('m', m, 'j', j) $$;
    CREATE PROCEDURE clear(name text) LANGUAGE sql AS 'DELETE FROM book WHERE title = name';
"""


class Shop:
    def __init__(self, gateway: Gateway, project: dict[str, Any], url: str) -> None:
        self.gateway = gateway
        self.project = project
        self.url = url
        self.path = f"/v1/projects/{project['projectId']}"
        self.key = {"Authorization": f"Bearer {project['apiKey']}"}

    async def save(self, name: str, sql: str, **more: Any) -> dict[str, Any]:
        answer = await self.gateway.call("POST", f"{self.path}/queries", {"name": name, "sql": sql, **more})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def refused(self, sql: str, **more: Any) -> dict[str, Any]:
        answer = await self.gateway.call("POST", f"{self.path}/queries", {"name": "bad", "sql": sql, **more})
        assert_refused(answer, 422, "INVALID_QUERY")
        body: dict[str, Any] = answer.json()
        return body

    async def run(self, query: str, **params: Any) -> httpx.Response:
        return await self.gateway.query(
            self.project["apiKey"], operation="run", payload={"query": query, "params": params}, tableName=""
        )

    async def data(self, query: str, **params: Any) -> Any:
        answer = await self.run(query, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """An endpoint below the project's address, with its key."""
        return await self.gateway.client.request(method, f"{self.path}/{path}", json=body, headers=self.key, **more)

    async def call(self, function: str, args: Any = None) -> httpx.Response:
        payload = {"function": function} if args is None else {"function": function, "args": args}
        return await self.gateway.query(self.project["apiKey"], operation="call", payload=payload, tableName="")

    async def called(self, function: str, args: Any = None) -> Any:
        answer = await self.call(function, args)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def limit(self, **limits: Any) -> dict[str, Any]:
        answer = await self.gateway.call("PATCH", self.path, {"limits": limits})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["limits"]
        return found

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.gateway.client.get(f"{self.path}/{path}", headers=self.key, **more)

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self.url)
        await connection.execute(sql)
        await connection.close()

    async def value(self, sql: str) -> Any:
        connection = await asyncpg.connect(self.url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()
