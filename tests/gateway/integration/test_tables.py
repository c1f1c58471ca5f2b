"""The endpoints of tables: the same answers as `/query`'s."""

from typing import Any

import pytest

from tests.gateway.answers import assert_refused
from tests.gateway.shop import Shop


@pytest.mark.parametrize(
    ("parameters", "payload"),
    [
        ("", {}),
        ("title=Wool", {"where": {"title": "Wool"}}),
        ("sold.gte=5&sold.lt=7", {"where": {"AND": [{"sold": {"gte": 5}}, {"sold": {"lt": 7}}]}}),
        ("id.in=1,3", {"where": {"id": {"in": [1, 3]}}}),
        ('title.in=["Wool","a,b"]', {"where": {"title": {"in": ["Wool", "a,b"]}}}),
        ("mood.isNull=true", {"where": {"mood": None}}),
        ("tags.has=a", {"where": {"tags": {"has": "a"}}}),
        ("tags.hasEvery=a,b", {"where": {"tags": {"hasEvery": ["a", "b"]}}}),
        ("title.contains=o&select=id,title", {"where": {"title": {"contains": "o"}}, "select": ["id", "title"]}),
        ("orderBy=-sold,title&limit=2&offset=1", {"orderBy": [{"sold": "desc"}, {"title": "asc"}], "limit": 2, "offset": 1}),  # noqa: E501
        ("count=true&limit=1", {"count": True, "limit": 1}),
        ('where={"OR":[{"id":1},{"id":2}]}', {"where": {"OR": [{"id": 1}, {"id": 2}]}}),
        ('where={"id":{"lt":3}}&price=5.00', {"where": {"id": {"lt": 3}, "price": "5.00"}}),
        ("stringifyNumeric=true", {"stringifyNumeric": True}),
    ],
)  # fmt: skip
async def test_a_read_answers_as_the_query_does(shop: Shop, parameters: str, payload: dict[str, Any]) -> None:
    by_path = await shop.get(f"tables/book?{parameters}")
    by_query = await shop.gateway.query(shop.project["apiKey"], payload=payload)
    assert (by_path.status_code, by_path.text) == (200, by_query.text)


async def test_rows_are_made_changed_and_deleted(shop: Shop) -> None:
    made = await shop.ask("POST", "tables/public.book", {"title": "New", "price": 1.10})
    assert made.status_code == 200, made.text
    assert '"price":1.10' in made.text
    number = made.json()["data"]["id"]
    many = await shop.ask("POST", "tables/book?select=title", [{"title": "A"}, {"title": "B"}])
    assert many.json()["data"] == [{"title": "A"}, {"title": "B"}]
    changed = await shop.ask("PATCH", f"tables/book/{number}?select=title,sold", {"sold": 9})
    assert changed.json() == {"data": [{"title": "New", "sold": 9}], "count": 1}
    raised = await shop.ask("PATCH", "tables/book?sold.gt=5&select=false", {"sold": {"increment": 1}})
    assert raised.json() == {"count": 2}
    assert (await shop.get(f"tables/book/{number}?select=sold")).json() == {"data": [{"sold": 10}]}
    assert (await shop.ask("DELETE", f"tables/book/{number}")).json()["count"] == 1
    assert (await shop.get(f"tables/book/{number}")).json() == {"data": []}
    assert_refused(await shop.ask("DELETE", "tables/book"), 400, "WHERE_REQUIRED")
    assert (await shop.ask("DELETE", "tables/book?all=true&select=false")).json() == {"count": 5}


async def test_what_is_wrong_is_said_as_everywhere(shop: Shop) -> None:
    for method, path, body, status, code in (
        ("GET", "tables/bok", None, 404, "TABLE_NOT_FOUND"),
        ("GET", "tables/bok/1", None, 404, "TABLE_NOT_FOUND"),
        ("GET", "tables/pair/1", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/cheap/1", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/book?nope=1", None, 400, "COLUMN_NOT_FOUND"),
        ("GET", "tables/book?limit=x", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/book?limit=1&limit=2", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/book?where={", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/book?mood.isNull=x", None, 400, "INVALID_REQUEST"),
        ("GET", "tables/book/x", None, 422, "INVALID_VALUE"),
        ("GET", "tables/book?" + "a=1&" * 300, None, 400, "TOO_COMPLEX"),
        ("POST", "tables/book?id=1", {"title": "x"}, 400, "INVALID_REQUEST"),
        ("POST", "tables/book/1", {"title": "x"}, 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "tables/book", {"title": "x"}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "tables/book", 1, 400, "INVALID_REQUEST"),
        ("POST", "tables/cheap", {"title": None}, 422, "NOT_NULL_VIOLATION"),
        ("GET", "tables/", None, 404, "NOT_FOUND"),
        ("GET", "tables/book/1/2", None, 404, "NOT_FOUND"),
    ):
        assert_refused(await shop.ask(method, path, body), status, code)
    broken = await shop.gateway.client.post(f"{shop.path}/tables/book", content=b'{"title":', headers=shop.key)
    assert_refused(broken, 400, "INVALID_JSON")
    empty = await shop.gateway.client.post(f"{shop.path}/tables/book", content=b"", headers=shop.key)
    assert_refused(empty, 400, "INVALID_JSON")
    assert_refused(await shop.gateway.client.get(f"{shop.path}/tables/book"), 401, "INVALID_API_KEY")
    assert_refused(await shop.gateway.client.get(f"{shop.path}/tables/book/1"), 401, "INVALID_API_KEY")
    other = await shop.gateway.register(shop.url, "other")
    elsewhere = f"/v1/projects/{other['projectId']}/tables/book"
    assert_refused(await shop.gateway.client.get(elsewhere, headers=shop.key), 401, "INVALID_API_KEY")


async def test_filters_compose_over_a_table_with_a_composite_key_and_odd_names(shop: Shop) -> None:
    await shop.execute('CREATE TABLE "odd name" ("limit" int PRIMARY KEY, "a.b" text, "x.gte" text)')
    made = await shop.ask("POST", "tables/odd name", {"limit": 1, "a.b": "v", "x.gte": "w"})
    assert made.status_code == 200, made.text
    assert (await shop.get("tables/odd%20name?a.b=v")).json()["data"] == [{"limit": 1, "a.b": "v", "x.gte": "w"}]
    assert len((await shop.get('tables/odd%20name?where={"limit":1}')).json()["data"]) == 1
    assert len((await shop.get("tables/odd%20name/1")).json()["data"]) == 1
    assert (await shop.ask("POST", "tables/pair", {"a": 1, "b": 2})).status_code == 200
    assert (await shop.ask("PATCH", "tables/pair?a=1&b=2", {"n": 5})).json()["count"] == 1
