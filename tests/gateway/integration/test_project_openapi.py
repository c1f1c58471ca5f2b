"""The description of a project's own API."""

import ast
import json
import time

import openapi_spec_validator

from libs.common.schema import FORMAT, Column, Database, Schema, Table
from services.gateway.core.openapi import document
from tests.gateway.answers import assert_refused
from tests.gateway.shop import Shop


async def test_the_description_is_valid_and_has_the_tables_queries_and_functions(shop: Shop) -> None:
    await shop.save("sellers", "SELECT title, price FROM book WHERE sold >= {{least}}", description="What sells.")
    await shop.save("add", "INSERT INTO book (title) VALUES ({{title}})", write=True)
    answer = await shop.get("openapi.json")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    openapi_spec_validator.validate(found)
    assert found["info"]["title"] == "shop"
    assert [tag["name"] for tag in found["tags"]] == ["Query", "book", "cheap", "pair", "Saved queries", "Functions"]
    assert "&lt;script>" in found["tags"][1]["description"]
    book = found["components"]["schemas"]["book"]["properties"]
    assert book["price"] == {
        "type": ["number", "null"], "description": "In euros", "x-postgresql-type": "numeric(10,2)",
    }  # fmt: skip
    assert book["mood"]["enum"] == ["sad", "glad", None]
    assert book["id"]["readOnly"] is True
    assert found["components"]["schemas"]["book.new"]["required"] == ["title"]
    paths = found["paths"]
    assert set(paths[f"{shop.path}/tables/book"]) == {"get", "post", "patch", "delete"}
    assert set(paths[f"{shop.path}/tables/book/{{key}}"]) == {"parameters", "get", "patch", "delete"}
    assert f"{shop.path}/tables/pair/{{key}}" not in paths
    assert set(paths[f"{shop.path}/queries/sellers/run"]) == {"get", "post"}
    assert set(paths[f"{shop.path}/queries/add/run"]) == {"post"}
    assert f"{shop.path}/functions/public.same%28integer%29" in paths
    assert f"{shop.path}/functions/app.found" in paths
    assert (await shop.gateway.call("GET", f"{shop.path}/openapi.json")).content == answer.content


async def test_the_description_follows_the_schema_and_the_queries(shop: Shop) -> None:
    before = (await shop.get("openapi.json")).json()
    await shop.execute("CREATE TABLE fresh (id int PRIMARY KEY)")
    assert (await shop.get("tables/fresh")).status_code == 200
    await shop.save("one", "SELECT 1 AS a")
    after = (await shop.get("openapi.json")).json()
    assert set(after["paths"]) - set(before["paths"]) == {
        f"{shop.path}/tables/fresh", f"{shop.path}/tables/fresh/{{key}}", f"{shop.path}/queries/one/run",
    }  # fmt: skip


async def test_the_descriptions_examples_are_taken(shop: Shop) -> None:
    paths = (await shop.get("openapi.json")).json()["paths"]
    body = paths[f"{shop.path}/tables/book"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert (await shop.ask("POST", "tables/book", body)).status_code == 200
    change = paths[f"{shop.path}/tables/book"]["patch"]["requestBody"]["content"]["application/json"]["example"]
    assert (await shop.ask("PATCH", "tables/book/1", change)).status_code == 200


async def test_types_are_given_for_typescript_and_python(shop: Shop) -> None:
    typescript = (await shop.get("types.ts")).text
    assert "export interface Book {\n  id: number;\n  title: string;\n" in typescript
    assert 'mood: "sad" | "glad" | null;' in typescript
    assert "export interface BookNew {" in typescript
    python = (await shop.get("types.py")).text
    ast.parse(python)
    assert "class BookNew(TypedDict):\n    title: str\n    price: NotRequired[float | None]\n" in python


async def test_strangers_see_nothing_of_it(shop: Shop) -> None:
    other = await shop.gateway.sign_up()
    for name in ("openapi.json", "types.ts", "types.py"):
        path = f"{shop.path}/{name}"
        assert_refused(await shop.gateway.client.get(path), 401, "UNAUTHENTICATED")
        assert_refused(await other.call("GET", path), 404, "PROJECT_NOT_FOUND")
        wrong = {"Authorization": "Bearer dbk_x"}
        assert_refused(await shop.gateway.client.get(path, headers=wrong), 401, "INVALID_API_KEY")


def test_fifteen_hundred_tables_are_described_in_two_seconds() -> None:
    columns = tuple(Column(number, f"c{number}", "text", "text", nullable=True) for number in range(12))
    tables = tuple(
        Table(number, "public", f"t{number}", "table", columns, ("c0",), writable=("insert", "update", "delete"))
        for number in range(1500)
    )
    schema = Schema(FORMAT, 1, Database("", 0, 1, "d", 180000), ("public",), ("public",), tables, (), ())
    started = time.perf_counter()
    described = document(schema, 1, "large", [], "https://api.example.com")
    assert time.perf_counter() - started < 2
    assert len(json.loads(described)["paths"]) == 3001
