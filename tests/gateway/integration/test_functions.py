"""Calls of the database's own functions through the front door."""

from tests.gateway.answers import assert_refused
from tests.gateway.shop import Shop


async def test_functions_are_called_by_named_or_positional_arguments(shop: Shop) -> None:
    assert await shop.called("add", {"a": 1, "b": 2}) == 3
    assert await shop.called("add", {"b": "2", "a": "1"}) == 3
    assert await shop.called("public.add", {"a": 1}) == 11
    assert await shop.called("add", [1, 2]) == 3
    assert await shop.called("add", [1]) == 11
    assert await shop.called("unnamed", [1, ["x", "y"]]) == "1x,y"
    assert await shop.called("mooded", {"m": "glad", "j": {"a": 1.50}}) == {"m": "glad", "j": {"a": 1.5}}
    assert await shop.called("add", {"a": None}) is None


async def test_answers_have_the_form_of_what_is_returned(shop: Shop) -> None:
    assert [row["title"] for row in await shop.called("app.found", {"lowest": 5})] == ["Looms", "Wool"]
    assert (await shop.called("one", {"wanted": 2}))["title"] == "Wool"
    assert await shop.called("halved", {"x": 3}) == {"double": 6, "half": 1.5}
    assert await shop.called("listed", {"x": 2}) == [{"n": 1, "t": "1"}, {"n": 2, "t": "2"}]
    assert await shop.called("listed", {"x": 0}) == []
    assert await shop.called("quiet") is None
    assert await shop.value("SELECT sold FROM book WHERE id = 1") == 6


async def test_volatile_functions_write_once_and_procedures_are_called(shop: Shop) -> None:
    made = await shop.called("touch")
    assert await shop.value("SELECT count(*) FROM book WHERE title = 'touched'") == 1
    assert await shop.value("SELECT max(id) FROM book") == made
    assert await shop.called("clear", {"name": "touched"}) is None
    assert await shop.value("SELECT count(*) FROM book") == 3


async def test_overloads_are_told_apart_by_arguments_or_types(shop: Shop) -> None:
    unclear = await shop.call("same", {"x": 1})
    assert_refused(unclear, 400, "FUNCTION_AMBIGUOUS")
    assert unclear.json()["details"]["functions"] == ["public.same(integer)", "public.same(text)"]
    assert await shop.called("same(integer)", {"x": 1}) == "int"
    assert await shop.called("public.same(text)", {"x": "a"}) == "text"


async def test_what_cannot_be_called_says_what_can(shop: Shop) -> None:
    missing = await shop.call("ad", {"a": 1})
    assert_refused(missing, 404, "FUNCTION_NOT_FOUND")
    assert 'Did you mean "add"?' in missing.json()["message"]
    wrong = await shop.call("add", {"a": 1, "c": 2})
    assert_refused(wrong, 404, "FUNCTION_NOT_FOUND")
    assert "public.add(a integer, b integer = default)" in wrong.json()["message"]
    assert_refused(await shop.call("add", {}), 404, "FUNCTION_NOT_FOUND")
    assert_refused(await shop.call("add", 1), 400, "INVALID_REQUEST")
    assert_refused(await shop.call("add", {"a": "x"}), 422, "INVALID_VALUE")
    assert_refused(await shop.call("pg_sleep", [1]), 404, "FUNCTION_NOT_FOUND")
    assert_refused(await shop.call("listed", {"x": 1001}), 422, "RESULT_TOO_LARGE")


async def test_a_function_made_or_changed_a_moment_ago_is_found(shop: Shop) -> None:
    assert await shop.called("add", [1]) == 11
    await shop.execute("CREATE FUNCTION fresh() RETURNS int LANGUAGE sql AS 'SELECT 7'")
    assert await shop.called("fresh") == 7


async def test_a_function_has_an_endpoint(shop: Shop) -> None:
    answer = await shop.ask("POST", "functions/add", {"a": 4})
    assert answer.json() == {"data": 14}
    assert (await shop.ask("POST", "functions/public.same(integer)", {"x": 4})).json() == {"data": "int"}
    assert (await shop.ask("POST", "functions/unnamed", [1, ["a"]])).json() == {"data": "1a"}
    assert_refused(await shop.ask("GET", "functions/add"), 405, "METHOD_NOT_ALLOWED")
