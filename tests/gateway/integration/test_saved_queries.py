"""Saved queries through the front door."""

from tests.gateway.answers import assert_refused
from tests.gateway.shop import Shop


async def test_a_query_is_saved_with_inferred_types_and_run_by_name(shop: Shop) -> None:
    made = await shop.save(
        "sellers", "SELECT title, price FROM book WHERE sold >= {{least}} AND title <> '{{no}}' ORDER BY id -- {{no}}"
    )
    assert made["version"] == 1
    assert made["parameters"] == [
        {"name": "least", "type": "bigint", "required": True, "default": None, "description": ""}
    ]
    assert made["columns"] == [{"name": "title", "type": "text"}, {"name": "price", "type": "numeric"}]
    answer = await shop.run("sellers", least=5)
    assert answer.text == '{"data":[{"title":"Looms","price":10.10},{"title":"Wool","price":5.00}]}'
    by_get = await shop.get("queries/sellers/run?least=6")
    assert by_get.json() == {"data": [{"title": "Wool", "price": 5.0}]}
    path = f"{shop.path}/queries/sellers/run"
    by_post = await shop.gateway.client.post(path, json={"least": "6"}, headers=shop.key)
    assert by_post.json() == by_get.json()
    by_account = await shop.gateway.call("GET", f"{path}?least=6")
    assert by_account.json() == by_get.json()


async def test_parameters_of_every_kind_are_taken(shop: Shop) -> None:
    await shop.save(
        "kinds",
        "SELECT {{tags}}::text[] AS tags, {{mood}} AS mood, {{day}} AS day, {{meta}} AS meta, {{n}} AS n,"
        " {{again}}::int AS again, {{short}} AS short WHERE {{again}} > 0",
        parameters=[
            {"name": "mood", "type": "app.mood"},
            {"name": "day", "type": "date", "default": "2026-02-03"},
            {"name": "meta", "type": "jsonb", "required": False},
            {"name": "n", "type": "numeric"},
            {"name": "short", "type": "short", "default": "abc"},
        ],
    )
    answer = await shop.run("kinds", tags=["x", None], mood="sad", meta={"a": [1]}, n=1, again=2)
    assert answer.json()["data"] == [
        {
            "tags": ["x", None], "mood": "sad", "day": "2026-02-03", "meta": {"a": [1]}, "n": 1, "again": 2,
            "short": "abc",
        }
    ]  # fmt: skip
    bare = await shop.run("kinds", tags="{x}", mood="glad", n="1.10", again="1")
    assert '"n":1.10' in bare.text
    assert_refused(await shop.run("kinds", tags=[], mood="mad", n=1, again=1), 422, "INVALID_VALUE")
    assert_refused(await shop.run("kinds", tags=[], mood="sad", n=1), 400, "INVALID_REQUEST")
    assert_refused(await shop.run("kinds", tags=[], mood="sad", n=1, again=1, agian=2), 400, "UNKNOWN_FIELD")
    assert_refused(await shop.run("kind"), 404, "QUERY_NOT_FOUND")
    assert 'Did you mean "kinds"?' in (await shop.run("kind")).json()["message"]


async def test_what_is_no_single_harmless_statement_is_refused(shop: Shop) -> None:
    for sql in (
        "DROP TABLE book",
        "SELECT 1; SELECT 2",
        "BEGIN",
        "COPY book TO STDOUT",
        "DO $$ BEGIN END $$",
        "SET search_path = app",
        "LISTEN x",
        "EXPLAIN ANALYZE DELETE FROM book",
        "CALL x()",
        "TRUNCATE book",
        "SELECT * INTO copy FROM book",
        "CREATE TABLE x AS SELECT 1",
        "PREPARE x AS SELECT 1",
        "SELECT set_config('role', 'x', false)",
        "SELECT pg_catalog.pg_advisory_lock(1)",
        "-- nothing",
        "SELECT $1::int",
    ):
        await shop.refused(sql, write=True)
    for sql in (
        "INSERT INTO book (title) VALUES ('x')",
        "WITH gone AS (DELETE FROM book RETURNING *) SELECT * FROM gone",
        "SELECT * FROM book FOR UPDATE",
    ):
        assert "write" in (await shop.refused(sql))["message"]
    assert await shop.value("SELECT count(*) FROM book") == 3


async def test_an_error_names_its_place_in_the_sql_as_it_was_written(shop: Shop) -> None:
    for sql, place in (
        ("SELECT {{a}}::int, ü FRM book", "book"),
        ("SELECT {{a}}::int, {{b}}::text, nothing FROM book", "nothing"),
        ("SELECT 'é', book.id FROM book WHERE id = {{ id }} AND no_such({{ id }})", "no_such"),
        ("SELECT $1", "$1"),
    ):
        body = await shop.refused(sql)
        assert body["details"]["position"] == sql.index(place) + 1, (sql, body)
    undetermined = await shop.refused("SELECT 1 WHERE {{x}} IS NULL")
    assert "Declare the parameter's type" in undetermined["message"]
    assert "No such" not in (await shop.refused("SELECT 1", parameters=[{"name": "x"}]))["message"]
    assert "a type" in (await shop.refused("SELECT {{x}}", parameters=[{"name": "x", "type": "int) --"}]))["message"]
    assert '"a"' in (await shop.refused("SELECT 1 AS a, 2 AS a"))["message"]


async def test_a_query_that_only_reads_cannot_write_by_a_function(shop: Shop) -> None:
    await shop.save("sneaky", "SELECT touch() AS id")
    answer = await shop.run("sneaky")
    assert_refused(answer, 422, "INVALID_QUERY")
    assert "would write" in answer.json()["message"]
    assert await shop.value("SELECT count(*) FROM book") == 3
    await shop.gateway.call("PATCH", f"{shop.path}/queries/sneaky", {"write": True})
    await shop.save("openly", "SELECT touch() AS id", write=True)
    assert (await shop.data("openly"))[0]["id"] > 0
    assert await shop.value("SELECT count(*) FROM book") == 4


async def test_writes_return_what_they_say_and_count_their_rows(shop: Shop) -> None:
    await shop.save(
        "add", "INSERT INTO book (title, sold) VALUES ({{title}}, {{sold}}) RETURNING title, sold", write=True
    )
    added = await shop.run("add", title="New", sold=3)
    assert added.json() == {"data": [{"title": "New", "sold": 3}], "count": 1}
    await shop.save("raise", "UPDATE book SET sold = sold + {{n}} WHERE sold >= 5", write=True)
    assert (await shop.run("raise", n=1)).json() == {"count": 2}
    await shop.save(
        "move",
        "WITH gone AS (DELETE FROM book WHERE title = {{title}} RETURNING *) "
        "INSERT INTO book (title) SELECT title || '!' FROM gone RETURNING title",
        write=True,
    )
    assert await shop.data("move", title="New") == [{"title": "New!"}]
    refused = await shop.get("queries/add/run?title=x&sold=1")
    assert_refused(refused, 405, "METHOD_NOT_ALLOWED")
    assert_refused(await shop.run("add", title=None, sold=1), 422, "NOT_NULL_VIOLATION")


async def test_each_change_makes_a_version_and_the_last_twenty_are_kept(shop: Shop) -> None:
    made = await shop.save("q", "SELECT {{a}}::int + {{b}}::int AS v", parameters=[{"name": "b", "default": 1}])
    path = f"{shop.path}/queries/{made['id']}"
    changed = await shop.gateway.call("PATCH", path, {"sql": "SELECT {{b}}::int AS v", "name": "renamed"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["version"], changed.json()["parameters"][0]["default"]) == (2, 1)
    assert await shop.data("renamed") == [{"v": 1}]
    for number in range(20):
        body = {"description": f"change {number}"}
        assert (await shop.gateway.call("PATCH", path, body)).status_code == 200
    versions = (await shop.gateway.call("GET", f"{path}/versions")).json()["data"]
    assert [version["version"] for version in versions] == list(range(22, 2, -1))
    assert_refused(await shop.gateway.call("PATCH", path, {"sql": "SELEC"}), 422, "INVALID_QUERY")
    assert (await shop.gateway.call("GET", f"{shop.path}/queries/renamed")).json()["version"] == 22
    assert (await shop.gateway.call("DELETE", path)).status_code == 204
    assert_refused(await shop.gateway.call("GET", path), 404, "QUERY_NOT_FOUND")


async def test_names_are_the_projects_own_and_listed_in_pages(shop: Shop) -> None:
    for name in ("one", "two", "three"):
        await shop.save(name, "SELECT 1 AS a")
    again = await shop.gateway.call("POST", f"{shop.path}/queries", {"name": "one", "sql": "SELECT 1"})
    assert_refused(again, 409, "QUERY_NAME_TAKEN")
    assert_refused(
        await shop.gateway.call("PATCH", f"{shop.path}/queries/two", {"name": "one"}), 409, "QUERY_NAME_TAKEN"
    )
    first = (await shop.gateway.call("GET", f"{shop.path}/queries?limit=2")).json()
    rest = (await shop.gateway.call("GET", f"{shop.path}/queries?limit=2&after={first['nextCursor']}")).json()
    assert [query["name"] for query in first["data"] + rest["data"]] == ["three", "two", "one"]
    for name in ("a b", "a/b", "1a", "", "x" * 64):
        answer = await shop.gateway.call("POST", f"{shop.path}/queries", {"name": name, "sql": "SELECT 1"})
        assert_refused(answer, 400, "INVALID_REQUEST")
    other = await shop.gateway.sign_up()
    assert_refused(await other.call("GET", f"{shop.path}/queries"), 404, "PROJECT_NOT_FOUND")
    assert_refused(await other.call("GET", f"{shop.path}/queries/one/run"), 404, "PROJECT_NOT_FOUND")


async def test_an_answer_is_kept_for_as_long_as_the_query_says(shop: Shop) -> None:
    await shop.save("count", "SELECT count(*) AS n FROM book WHERE id > {{least}}", cacheSeconds=60)
    assert await shop.data("count", least=0) == [{"n": 3}]
    await shop.execute("INSERT INTO book (title) VALUES ('more')")
    assert await shop.data("count", least=0) == [{"n": 3}]
    assert await shop.data("count", least=-1) == [{"n": 4}]
    await shop.gateway.call("PATCH", f"{shop.path}/queries/count", {"cacheSeconds": 0})
    fresh = (await shop.gateway.call("GET", f"{shop.path}/queries/count")).json()
    assert fresh["cacheSeconds"] == 0
    assert "not kept" in (await shop.refused("SELECT touch()", write=True, cacheSeconds=1))["message"]


async def test_a_schema_change_that_breaks_a_query_is_explained(shop: Shop) -> None:
    await shop.save("titles", "SELECT id, title FROM book WHERE sold > {{n}}")
    assert len(await shop.data("titles", n=0)) == 2
    await shop.execute("ALTER TABLE book RENAME title TO name")
    answer = await shop.run("titles", n=0)
    assert_refused(answer, 422, "INVALID_QUERY")
    body = answer.json()
    assert 'column "title" does not exist' in body["message"]
    assert body["details"]["query"] == "titles"
    assert body["details"]["position"] == len("SELECT id, ") + 1


async def test_no_more_rows_are_read_than_the_project_allows(shop: Shop) -> None:
    await shop.save("many", "SELECT generate_series(1, {{n}}) AS n")
    assert len(await shop.data("many", n=1000)) == 1000
    assert_refused(await shop.run("many", n=1001), 422, "RESULT_TOO_LARGE")
    await shop.save("wide", "SELECT repeat('x', {{n}}) AS x")
    assert_refused(await shop.run("wide", n=9_000_000), 422, "RESULT_TOO_LARGE")
    await shop.save("slow", "SELECT pg_sleep({{s}})")
    await shop.gateway.call("PATCH", shop.path, {"limits": {"timeoutMs": 200}})
    assert_refused(await shop.run("slow", s=5), 504, "QUERY_TIMEOUT")


async def test_runs_are_logged_like_any_request_and_need_a_key(shop: Shop) -> None:
    await shop.save("one", "SELECT 1 AS a")
    path = f"{shop.path}/queries/one/run"
    assert_refused(await shop.gateway.client.get(path), 401, "INVALID_API_KEY")
    wrong = {"Authorization": "Bearer dbk_nothing"}
    assert_refused(await shop.gateway.client.get(path, headers=wrong), 401, "INVALID_API_KEY")
    answer = await shop.get("queries/one/run")
    assert answer.headers["x-request-id"]
    assert "server-timing" in answer.headers
    assert_refused(await shop.gateway.client.delete(path, headers=shop.key), 405, "METHOD_NOT_ALLOWED")
