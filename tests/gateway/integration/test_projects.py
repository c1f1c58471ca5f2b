from pathlib import Path

import asyncpg

from stack import embedded
from tests.common.waiting import until
from tests.gateway import scene
from tests.gateway.answers import assert_refused
from tests.gateway.scene import Gateway


async def test_a_project_can_be_queried_the_moment_its_post_answers(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    assert set(project) == {"projectId", "name", "apiKey", "keyId"}
    answer = await gateway.query(project["apiKey"], payload={"id": 2})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"data": [{"id": 2, "title": "Ulysses"}]}


async def test_a_new_table_is_served_without_being_told(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    connection = await asyncpg.connect(bookshop)
    await connection.execute("create table author (name text primary key); insert into author values ('Ada')")
    await connection.close()
    answer = await gateway.query(project["apiKey"], tableName="author")
    assert answer.json() == {"data": [{"name": "Ada"}]}


async def test_events_say_that_a_project_and_its_key_were_made(
    gateway: Gateway, bookshop: str, platform_database: str
) -> None:
    project = await gateway.register(bookshop)
    connection = await asyncpg.connect(platform_database)

    async def relayed() -> bool:
        last = await connection.fetchval(
            "select last from gateway.event_sequence where project = $1", project["projectId"]
        )
        return bool(last == 2 and not await connection.fetchval("select count(*) from gateway.outbox"))

    await until(relayed)
    stored = await connection.fetchrow("select * from gateway.projects")
    await connection.close()
    assert stored is not None
    assert bookshop not in str(dict(stored))


async def test_nothing_is_stored_where_the_introspector_is_down(
    platform_database: str, nats_server: embedded.Nats, valkey: embedded.Valkey, tmp_path: Path, bookshop: str
) -> None:
    url = nats_server.url("gateway")
    async with scene.gateway(platform_database, url, valkey.url(), tmp_path) as running:
        gateway = await running.sign_up()
        body = {"name": "shop", "databaseUrl": bookshop}
        assert_refused(await gateway.call("POST", "/v1/projects", body), 503, "SERVICE_UNAVAILABLE")
        assert (await gateway.call("GET", "/v1/projects")).json() == {"data": [], "nextCursor": None}


async def test_a_url_that_may_not_be_dialled_is_refused(gateway: Gateway) -> None:
    for url, code in (
        ("mysql://u:p@h/d", "INVALID_DATABASE_URL"),
        ("postgresql://u:p@10.1.2.3/d", "ADDRESS_FORBIDDEN"),
        ("postgresql://u@h/d", "INVALID_DATABASE_URL"),
    ):
        assert_refused(await gateway.call("POST", "/v1/projects", {"name": "x", "databaseUrl": url}), 422, code)


async def test_a_database_that_refuses_the_login_is_refused(gateway: Gateway, bookshop: str) -> None:
    url = bookshop.replace("postgres:", "nobody:", 1) if "//postgres:" in bookshop else bookshop
    answer = await gateway.call("POST", "/v1/projects", {"name": "x", "databaseUrl": url})
    assert_refused(answer, 422, "DATABASE_REFUSED_LOGIN")


async def test_one_account_sees_nothing_of_another(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    other = await gateway.sign_up()
    path = f"/v1/projects/{project['projectId']}"
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/schema", None),
        ("GET", "/keys", None),
        ("POST", "/keys", {"name": "mine"}),
        ("DELETE", f"/keys/{project['keyId']}", None),
        ("POST", f"/keys/{project['keyId']}/rotate", {}),
        ("GET", "/logs", None),
        ("GET", "/analytics", None),
    ):
        assert_refused(await other.call(method, path + rest, body), 404, "PROJECT_NOT_FOUND")
    assert (await other.call("GET", "/v1/projects")).json()["data"] == []
    assert (await gateway.query(project["apiKey"])).status_code == 200


async def test_a_key_opens_its_own_project_alone(gateway: Gateway, bookshop: str) -> None:
    one, other = await gateway.register(bookshop), await gateway.register(bookshop, "other")
    answer = await gateway.query(one["apiKey"], projectId=other["projectId"])
    assert_refused(answer, 401, "INVALID_API_KEY")


async def test_projects_are_listed_in_pages_newest_first(gateway: Gateway, bookshop: str) -> None:
    made = [(await gateway.register(bookshop, f"shop {number}"))["projectId"] for number in range(3)]
    first = (await gateway.call("GET", "/v1/projects?limit=2")).json()
    assert [project["projectId"] for project in first["data"]] == [made[2], made[1]]
    rest = (await gateway.call("GET", f"/v1/projects?limit=2&after={first['nextCursor']}")).json()
    assert [project["projectId"] for project in rest["data"]] == [made[0]]
    assert rest["nextCursor"] is None


async def test_a_project_gets_another_name(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    path = f"/v1/projects/{project['projectId']}"
    changed = await gateway.call("PATCH", path, {"name": "new"})
    assert changed.status_code == 200, changed.text
    assert changed.json() == (await gateway.call("GET", path)).json()
    assert changed.json()["name"] == "new"
    assert_refused(await gateway.call("PATCH", path, {}), 400, "INVALID_REQUEST")


async def test_a_project_that_moves_is_served_from_its_new_database(
    gateway: Gateway, bookshop: str, cluster: embedded.Postgres
) -> None:
    project = await gateway.register(bookshop)
    assert (await gateway.query(project["apiKey"], payload={"id": 1})).json()["data"][0]["title"] == "Emma"
    await cluster.execute("create database moved")
    connection = await asyncpg.connect(cluster.url("moved"))
    await connection.execute("create table book (id int, pages int); insert into book values (1, 300)")
    await connection.close()
    changed = await gateway.call("PATCH", f"/v1/projects/{project['projectId']}", {"databaseUrl": cluster.url("moved")})
    assert changed.json()["databaseVersion"] == 2, changed.text
    answer = await gateway.query(project["apiKey"], payload={"id": 1})
    assert answer.json() == {"data": [{"id": 1, "pages": 300}]}
    await cluster.execute("drop database moved with (force)")


async def test_a_deleted_project_is_gone_with_its_keys(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    assert (await gateway.query(project["apiKey"])).status_code == 200
    path = f"/v1/projects/{project['projectId']}"
    gone = await gateway.call("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert_refused(await gateway.query(project["apiKey"]), 401, "INVALID_API_KEY")
    assert_refused(await gateway.call("GET", path), 404, "PROJECT_NOT_FOUND")


async def test_the_schema_is_shown(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    shown = (await gateway.call("GET", f"/v1/projects/{project['projectId']}/schema")).json()
    assert [table["name"] for table in shown["tables"]] == ["book"]


async def test_a_number_that_no_project_has_is_not_found(gateway: Gateway) -> None:
    for number in ("0", "-1", "99999999999999999999", "9223372036854775807", "x", "1.5"):
        answer = await gateway.call("GET", f"/v1/projects/{number}")
        assert answer.status_code == 404
        assert answer.json()["errorCode"] in {"PROJECT_NOT_FOUND", "NOT_FOUND"}


async def test_snapshots_come_from_redis_or_the_table_while_nats_is_down(
    gateway: Gateway,
    bookshop: str,
    platform_database: str,
    nats_server: embedded.Nats,
    valkey: embedded.Valkey,
    tmp_path: Path,
) -> None:
    project = await gateway.register(bookshop)
    await nats_server.stop()
    for cache in (valkey.url(), "redis://127.0.0.1:1"):
        url = nats_server.url("gateway")
        async with scene.gateway(platform_database, url, cache, tmp_path / "other") as fresh:
            answer = await fresh.query(project["apiKey"], payload={"id": 1})
            assert answer.status_code == 200, (cache, answer.text)


async def test_a_change_that_one_process_finds_is_served_by_every_process(
    gateway: Gateway,
    bookshop: str,
    platform_database: str,
    nats_server: embedded.Nats,
    valkey: embedded.Valkey,
    tmp_path: Path,
) -> None:
    project = await gateway.register(bookshop)
    url = nats_server.url("gateway")
    async with scene.gateway(platform_database, url, valkey.url(), tmp_path / "spool") as other:
        assert (await other.query(project["apiKey"], payload={"id": 1})).json()["data"] == [{"id": 1, "title": "Emma"}]
        connection = await asyncpg.connect(bookshop)
        await connection.execute("alter table book add pages int default 300")
        await connection.close()
        found = await gateway.query(project["apiKey"], payload={"where": {"pages": 300}})
        assert found.status_code == 200, found.text

        async def served() -> bool:
            rows = (await other.query(project["apiKey"], payload={"id": 1})).json()["data"]
            return bool(rows == [{"id": 1, "title": "Emma", "pages": 300}])

        await until(served)


async def test_a_name_is_one_line_of_text(gateway: Gateway) -> None:
    for name in ("", "   ", "a\n", "a\r\nBcc: eve@example.com", "\u0000", "a\u2028b", "x" * 101):
        body = {"name": name, "databaseUrl": "postgresql://u:p@h/d"}
        assert_refused(await gateway.call("POST", "/v1/projects", body), 400, "INVALID_REQUEST")
