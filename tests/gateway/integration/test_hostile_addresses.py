"""What strangers may send to the endpoints of tables, saved queries and functions: no answer is a defect."""

import json
import random
from typing import Any
from urllib.parse import urlencode

from tests.gateway.shop import Shop

METHODS = ("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE")
SEGMENTS = (
    "book", "public.book", "pair", "cheap", "1", "x", "..", ".", "%2e%2e", "%00", "%ff", "a%2Fb", "book%20", "*", "'--",
    "add", "one", "app.found", "public.same(integer)", "sellers", "run", "versions", "%F0%9F%98%80", "{key}",
    "0" * 300,
)  # fmt: skip
NAMES = (
    "id", "title", "sold.gte", "tags.has", "id.in", "where", "select", "orderBy", "limit", "offset", "count", "all",
    "mood", "price", "at", "meta", "after", "include", "distinct", "nope", "", ".", "a.b.c", "least", "explain",
)  # fmt: skip
VALUES = (
    "1", "x", "", "null", "true", "{", "[]", "[1,2]", '{"a":1}', "-1", "9" * 30, "\0", "\ud7ff", "{1,2}", "2026-01-01",
    "1e400", "NaN", ",", ",,", "-id", "title,-id", "sad", '{"book":true}', '{"OR":[]}', "%", "'", ";--",
)  # fmt: skip
BODIES = (
    b"", b"{", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff", b"[" * 2000, b'{"title":"x"}', b'[{"title":"x"},{"id":1}]',
    b'{"title":{"increment":1}}', b'{"a":1}', b'[1,"2"]', b'{"least":5}', b'{"title":"\\ud800"}',
    b'{"title":"\\u0000"}',
    b'{"sold":{"increment":1e400}}', b'{"meta":{"a":[1.50]}}', b'{"tags":["a",null,[1]]}', b"1e999", b'{"":1}',
)  # fmt: skip


async def test_no_address_or_body_is_answered_with_a_defect(shop: Shop) -> None:
    await shop.save("sellers", "SELECT title FROM book WHERE sold >= {{least}}")
    chosen = random.Random(7)
    statuses: set[int] = set()
    for _ in range(1500):
        path = "/".join(
            [chosen.choice(("tables", "queries", "functions")), *chosen.choices(SEGMENTS, k=chosen.randint(1, 3))]
        )
        parameters = urlencode([(chosen.choice(NAMES), chosen.choice(VALUES)) for _ in range(chosen.randint(0, 3))])
        answer = await shop.gateway.client.request(
            chosen.choice(METHODS),
            f"{shop.path}/{path}?{parameters}",
            content=chosen.choice(BODIES),
            headers={**shop.key, "Content-Type": "application/json"},
        )
        assert answer.status_code not in (500, 502, 503, 504), (path, parameters, answer.text)
        if answer.request.method != "HEAD" and answer.status_code >= 400:
            assert set(json.loads(answer.content)) == {"errorCode", "message", "details", "requestId"}
        statuses.add(answer.status_code)
    assert {200, 400, 404, 405, 422} <= statuses


async def test_no_sql_or_parameter_is_answered_with_a_defect(shop: Shop) -> None:
    chosen = random.Random(8)
    pieces = (
        "SELECT ", "{{a}}", "{{b}}::int", " FROM book", " WHERE ", "title", " = ", "'x'", "(", ")", ",", " ORDER BY 1",
        " LIMIT {{n}}", ";", "--", "/*", "$$", "INSERT INTO book (title) VALUES (", " RETURNING *", "WITH x AS (",
        "pg_sleep(0)", "ü", "\\", '"', "NULL", "*", "[", "]", "current_user", " UNION ALL ", "1/0", "row(1,2)", "book",
        "ARRAY[1]", "'{}'::jsonb", "xmlelement(name a)", "1::money", "point(1,2)", "interval '1 day'",
    )  # fmt: skip
    defaults: tuple[Any, ...] = (None, 1, 1.5, "x", [], [1], {}, {"a": None}, True, "\0", "9" * 500)
    types = (
        "",
        "int",
        "text[]",
        "app.mood",
        "jsonb",
        "short",
        "book",
        "record",
        "void",
        "trigger",
        "anyelement",
        "cstring",
    )
    for number in range(400):
        sql = "".join(chosen.choices(pieces, k=chosen.randint(1, 9)))
        body = {
            "name": f"q{number}",
            "sql": chosen.choice(("SELECT ", "")) + sql,
            "write": chosen.random() < 0.5,
            "parameters": [
                {"name": chosen.choice("abn"), "type": chosen.choice(types), "default": chosen.choice(defaults)}
                for _ in range(chosen.randint(0, 2))
            ],
        }
        answer = await shop.gateway.call("POST", f"{shop.path}/queries", body)
        assert answer.status_code in (201, 400, 422), (body, answer.text)
        if answer.status_code == 201:
            params = {letter: chosen.choice(defaults) for letter in "abn" if "{{" + letter in sql}
            ran = await shop.run(f"q{number}", **params)
            assert ran.status_code in (200, 400, 409, 422), (body, params, ran.text)
