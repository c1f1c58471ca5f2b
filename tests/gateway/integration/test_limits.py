"""What a project allows a single request."""

from tests.gateway.answers import assert_refused
from tests.gateway.shop import Shop


async def test_limits_are_set_one_by_one_and_put_back(shop: Shop) -> None:
    assert await shop.limit() == {"maxRows": 1000, "maxBytes": 8388608, "timeoutMs": 10000, "maxCost": None}
    assert (await shop.limit(maxRows=2, maxCost=1.5))["maxRows"] == 2
    found = await shop.limit(timeoutMs=500, maxBytes=2000)
    assert found == {"maxRows": 2, "maxBytes": 2000, "timeoutMs": 500, "maxCost": 1.5}
    assert (await shop.gateway.call("GET", shop.path)).json()["limits"] == found
    found = await shop.limit(maxRows=None, maxBytes=None, timeoutMs=None, maxCost=None)
    assert found == {"maxRows": 1000, "maxBytes": 8388608, "timeoutMs": 10000, "maxCost": None}
    for wrong in ({"maxRows": 0}, {"maxRows": 1001}, {"maxBytes": 1}, {"timeoutMs": 1}, {"maxCost": 0}, {"rows": 1}):
        answer = await shop.gateway.call("PATCH", shop.path, {"limits": wrong})
        assert_refused(answer, 400, "INVALID_REQUEST")
    other = await shop.gateway.sign_up()
    assert_refused(await other.call("PATCH", shop.path, {"limits": {"maxRows": 1}}), 404, "PROJECT_NOT_FOUND")


async def test_reads_answer_no_more_rows_than_are_allowed(shop: Shop) -> None:
    await shop.limit(maxRows=2)
    assert len((await shop.get("tables/book")).json()["data"]) == 2
    assert len((await shop.get("tables/book?orderBy=id")).json()["data"]) == 2
    assert len((await shop.get("tables/book?limit=1")).json()["data"]) == 1
    assert_refused(await shop.get("tables/book?limit=3"), 400, "INVALID_REQUEST")
    assert_refused(await shop.call("listed", {"x": 3}), 422, "RESULT_TOO_LARGE")


async def test_an_answer_that_is_too_large_leaves_nothing_written(shop: Shop) -> None:
    await shop.limit(maxBytes=1024)
    long = "x" * 2000
    answer = await shop.ask("POST", "tables/book", {"title": long})
    assert_refused(answer, 422, "RESULT_TOO_LARGE")
    assert answer.json()["details"] == {"limitBytes": 1024}
    assert await shop.value("SELECT count(*) FROM book") == 3
    assert (await shop.ask("POST", "tables/book?select=id", {"title": long})).status_code == 200
    assert_refused(await shop.get("tables/book"), 422, "RESULT_TOO_LARGE")
    assert (await shop.get("tables/book?select=id")).status_code == 200


async def test_a_statement_that_is_expected_to_cost_too_much_is_not_run(shop: Shop) -> None:
    await shop.limit(maxCost=0.5)
    answer = await shop.ask("PATCH", "tables/book?sold.gte=0", {"sold": 1})
    assert_refused(answer, 422, "COST_TOO_HIGH")
    details = answer.json()["details"]
    assert details["maxCost"] == 0.5
    assert details["cost"] > 0.5
    assert await shop.value("SELECT sum(sold) FROM book") == 12
    await shop.limit(maxCost=1_000_000)
    assert (await shop.ask("PATCH", "tables/book?sold.gte=0", {"sold": 1})).status_code == 200
    assert (await shop.get("tables/book/1")).status_code == 200
    assert await shop.called("add", [1, 2]) == 3
    assert await shop.called("clear", {"name": "Wool"}) is None


async def test_a_statement_ends_at_the_time_that_is_allowed(shop: Shop) -> None:
    await shop.execute("CREATE VIEW slow AS SELECT pg_sleep(5)::text AS s")
    await shop.limit(timeoutMs=200)
    assert_refused(await shop.get("tables/slow"), 504, "QUERY_TIMEOUT")
