"""Every type: written, read, written again as read, compared with itself, and refused where it does not fit."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.core.where import applicable
from stack import embedded
from tests.gateway.asking import PROJECT, Asking, asking

SCHEMA = r"""
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE TYPE "Odd (1) Type" AS ENUM ('a,b', '{c}');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN short AS varchar(3); CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN app.list AS int[];
CREATE DOMAIN strict AS positive NOT NULL DEFAULT 7;
CREATE TABLE t (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    a_bool bool, a_int2 smallint, a_int4 int, a_int8 bigint, a_numeric numeric(10, 2), a_float4 real, a_float8 float8,
    a_money money, a_text text, a_varchar varchar(5), a_char char(4), a_name name, a_quoted_char "char",
    a_json json, a_jsonb jsonb, a_uuid uuid, a_bytea bytea,
    a_date date, a_time time(3), a_timetz timetz, a_timestamp timestamp(3), a_timestamptz timestamptz,
    a_interval interval(0),
    a_mood app.mood, an_odd "Odd (1) Type",
    some_ints int[], some_texts text[], some_varchars varchar(3)[], some_chars char(2)[], some_moods app.mood[],
    some_odds "Odd (1) Type"[], some_json json[], some_jsonb jsonb[], some_times timestamptz[],
    some_numerics numeric(6, 2)[],
    some_bools bool[], some_bytes bytea[], some_intervals interval[], some_bits bit(3)[],
    a_range int4range, a_multirange int4multirange, some_ranges daterange[],
    an_inet inet, a_cidr cidr, a_macaddr macaddr, a_bit bit(3), a_varbit varbit(5), a_tsvector tsvector,
    a_tsquery tsquery,
    a_point point, a_box box, some_boxes box[], an_oid oid, a_lsn pg_lsn, a_jsonpath jsonpath,
    a_pair pair, some_pairs pair[],
    a_short short, a_positive positive, a_list app.list, some_positives positive[],
    a_generated int GENERATED ALWAYS AS (a_int2 * 2) STORED
);
CREATE TABLE d (id int PRIMARY KEY, s strict);
"""

# As JSON text, so that no digit is lost.
ROW: dict[str, str] = {
    "a_bool": "true",
    "a_int2": "-32768",
    "a_int4": "2147483647",
    "a_int8": "9223372036854775807",
    "a_numeric": "1.10",
    "a_float4": "1.5",
    "a_float8": "1e+300",
    "a_money": '"$1,234.50"',
    "a_text": r'''"it's \\ \"q\" %_ ü 😀 \n"''',
    "a_varchar": '"abc"',
    "a_char": '"ab  "',
    "a_name": '"name"',
    "a_quoted_char": '"x"',
    "a_json": '{"a": [1, 2.50, null, "x"]}',
    "a_jsonb": '{"a": {"b": "c"}, "n": 1.10}',
    "a_uuid": '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"',
    "a_bytea": r'"\\x0aff"',
    "a_date": '"2026-01-31"',
    "a_time": '"12:30:00.123"',
    "a_timetz": '"12:30:00+02"',
    "a_timestamp": '"2026-01-31T12:30:00.123"',
    "a_timestamptz": '"2026-01-31T12:30:00+00:00"',
    "a_interval": '"1 day 02:00:00"',
    "a_mood": r'''"it's \"fine\""''',
    "an_odd": '"{c}"',
    "some_ints": "[[1,2],[3,null]]",
    "some_texts": r'["a","b,\"c\\","NULL",null,"","{}"]',
    "some_varchars": '["abc"]',
    "some_chars": '["a "]',
    "some_moods": r"""["sad","it's \"fine\""]""",
    "some_odds": '["a,b","{c}"]',
    "some_json": '[{"a":1},"s"]',
    "some_jsonb": '[{"a": 1}, [1, 2], "s"]',
    "some_times": '["2026-01-31T12:30:00+00:00",null]',
    "some_numerics": "[1.10,2.25]",
    "some_bools": "[true,false]",
    "some_bytes": r'["\\x00ff"]',
    "some_intervals": '["1 day"]',
    "some_bits": '["101"]',
    "a_range": '"[1,10)"',
    "a_multirange": '"{[1,3),[5,7)}"',
    "some_ranges": '["[2026-01-01,2026-02-01)","empty"]',
    "an_inet": '"10.0.0.1"',
    "a_cidr": '"10.0.0.0/8"',
    "a_macaddr": '"08:00:2b:01:02:03"',
    "a_bit": '"101"',
    "a_varbit": '"10"',
    "a_tsvector": "\"'a' 'b'\"",
    "a_tsquery": "\"'a' & 'b'\"",
    "a_point": '"(1,2)"',
    "a_box": '"(1,1),(0,0)"',
    "some_boxes": '["(1,1),(0,0)","(2,2),(1,1)"]',
    "an_oid": '"5"',
    "a_lsn": '"0/10"',
    "a_jsonpath": r'"$.\"a\""',
    "a_pair": '{"a":1,"b":"x,\\"y"}',
    "some_pairs": '[{"a":1,"b":"x"},{"a":null,"b":null}]',
    "a_short": '"abc"',
    "a_positive": "5",
    "a_list": "[1,2]",
    "some_positives": "[1,2]",
}
# Where the server has them: of extensions, and of libxml.
EXTENSIONS: dict[str, dict[str, tuple[str, str]]] = {
    "vector": {"a_vector": ("vector(3)", '"[1,2.5,3]"'), "some_vectors": ("vector(2)[]", '["[1,2]"]')},
    "citext": {"a_citext": ("citext", '"HeLLo"'), "some_citexts": ("citext[]", '["A"]')},
    "hstore": {"an_hstore": ("hstore", r'{"k": "v\"", "n": null}')},
    "ltree": {"an_ltree": ("ltree", '"a.b"')},
    "xml2": {"an_xml": ("xml", '"<a>1</a>"')},
}


class Odd:
    def __init__(self, asking_: Asking, row: dict[str, str]) -> None:
        self.asking = asking_
        self.row = row

    async def where(self, condition: str) -> str:
        status, body = await self.asking.raw("read", "t", f'{{"where": {condition}, "select": ["id"]}}')
        return body if status != 200 else "".join(str(row["id"]) for row in json.loads(body)["data"])


@pytest.fixture
async def odd(database: str, valkey: embedded.Valkey) -> AsyncIterator[Odd]:
    async with asking(database, valkey.url()) as it:
        await it.execute(SCHEMA)
        row = dict(ROW)
        for extension, columns in EXTENSIONS.items():
            if await it.value("SELECT count(*) FROM pg_available_extensions WHERE name = $1", extension):
                await it.execute(f"CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA app")
                for name, (type_, value) in columns.items():
                    type_sql = type_ if extension == "xml2" else f"app.{type_}"
                    await it.execute(f"ALTER TABLE t ADD COLUMN {name} {type_sql}")
                    row[name] = value
        whole = "{" + ",".join(f'"{name}": {value}' for name, value in row.items()) + "}"
        status, body = await it.raw("create", "t", f'{{"data": {whole}}}')
        assert status == 200, body
        yield Odd(it, row)


async def test_every_type_comes_back_as_it_went_in(odd: Odd) -> None:
    status, body = await odd.asking.raw("read", "t", '{"id": 1}')
    assert status == 200
    found = json.loads(body)["data"][0]
    assert {name: found[name] for name in odd.row} == {name: json.loads(value) for name, value in odd.row.items()}
    assert found["a_generated"] == -65536
    assert '"a_numeric":1.10' in body
    assert '"a_int8":9223372036854775807' in body


async def test_every_type_is_updated_and_bulk_created_from_its_json(odd: Odd) -> None:
    for name, value in odd.row.items():
        status, body = await odd.asking.raw(
            "update", "t", f'{{"where": {{"id": 1}}, "data": {{"{name}": {value}}}, "select": ["{name}"]}}'
        )
        assert (status, json.loads(body).get("count")) == (200, 1), (name, body)
        status, body = await odd.asking.raw(
            "create", "t", f'{{"data": [{{"{name}": {value}}}, {{"{name}": null}}], "select": ["{name}"]}}'
        )
        assert status == 200, (name, body)
        assert json.loads(body)["data"] == [{name: json.loads(value)}, {name: None}]
        status, body = await odd.asking.raw(
            "create", "t", f'{{"data": [{{"{name}": {value}}}, {{}}], "select": ["{name}"]}}'
        )
        assert (status, json.loads(body).get("data")) == (200, [{name: json.loads(value)}, {name: None}]), (name, body)


async def test_every_type_equals_itself(odd: Odd) -> None:
    await odd.asking.raw("create", "t", '{"data": {}}')
    for name, value in odd.row.items():
        assert await odd.where(f'{{"{name}": {{"equals": {value}}}}}') == "1", name
        assert await odd.where(f'{{"{name}": {{"in": [{value}]}}}}') == "1", name
        assert await odd.where(f'{{"{name}": {{"notIn": [{value}]}}}}') == "", name
        assert await odd.where(f'{{"NOT": {{"{name}": {{"equals": {value}}}}}}}') == "", name
        assert await odd.where(f'{{"{name}": null}}') == "2", name
        assert await odd.where(f'{{"{name}": {{"not": null}}}}') == "1", name
        if not value.startswith("{"):
            assert await odd.where(f'{{"{name}": {{"not": {value}}}}}') == "", name


def operand_for(operator: str, value: Any) -> Any:
    if operator in ("in", "notIn"):
        return [value]
    if operator in ("isNull", "isEmpty"):
        return True
    if operator in ("contains", "startsWith", "endsWith", "like", "ilike", "regex"):
        return "a"
    if operator in ("has", "hasEvery", "hasSome"):
        flat = [each for each in value if each is not None and not isinstance(each, list)] or [1]
        return flat[0] if operator == "has" else flat
    return None if operator == "not" and isinstance(value, dict) else value


async def test_every_operator_that_is_offered_for_a_type_runs(odd: Odd) -> None:
    table = (await odd.asking.looks.current(PROJECT)).resolve("t")
    for name, value in odd.row.items():
        column = table.column(name)
        for operator in applicable(column):
            operand = operand_for(operator, json.loads(value))
            for mode in ({}, {"mode": "insensitive"}):
                found = await odd.where(json.dumps({name: {operator: operand, **mode}}))
                assert "errorCode" not in found or (mode and "OPERATOR_NOT_APPLICABLE" in found), (
                    name,
                    operator,
                    found,
                )


async def test_every_type_that_has_an_order_can_be_ordered_by(odd: Odd) -> None:
    unordered = {
        "a_json",
        "some_json",
        "a_point",
        "a_box",
        "some_boxes",
        "a_jsonpath",
        "a_pair",
        "some_pairs",
        "an_xml",
        "a_tsquery",
    }
    for name in odd.row:
        status, body = await odd.asking.raw("read", "t", f'{{"orderBy": {{"{name}": "desc"}}, "select": ["id"]}}')
        assert status == (400 if name in unordered else 200), (name, body)


async def test_a_json_column_takes_and_finds_any_json(odd: Odd) -> None:
    for value in ('"text"', "5", "1.10", "true", "[]", '{"a": {"equals": 1}}', r'"{\"a\": 1}"'):
        for name in ("a_json", "a_jsonb"):
            status, body = await odd.asking.raw(
                "create", "t", f'{{"data": {{"{name}": {value}}}, "select": ["{name}"]}}'
            )
            assert (status, json.loads(body)["data"]) == (200, {name: json.loads(value)})
            assert await odd.where(f'{{"{name}": {{"equals": {value}}}}}') != "", (name, value)
    assert await odd.where('{"a_jsonb": {"path": ["a", "b"], "equals": "c"}}') == "1"
    assert await odd.where('{"a_jsonb": {"path": ["n"], "equals": 1.10}}') == "1"
    assert await odd.where('{"a_json": {"path": ["a", 3], "startsWith": "X", "mode": "insensitive"}}') == "1"
    assert await odd.where('{"a_json": {"path": ["a", 2], "isNull": true}, "id": 1}') == "1"


async def test_what_is_stored_or_compared_is_never_cut_or_rounded_to_fit(odd: Odd) -> None:
    for name, value in {
        "a_varchar": '"abcdef"',
        "a_short": '"abcd"',
        "a_char": '"abcde"',
        "some_varchars": '["abcd"]',
        "a_bit": '"1010"',
        "a_varbit": '"101010"',
        "some_bits": '["1"]',
        "a_positive": "-1",
        "a_int2": "40000",
        "a_numeric": "123456789.10",
    }.items():
        status, body = await odd.asking.raw("create", "t", f'{{"data": {{"{name}": {value}}}}}')
        assert (status, json.loads(body)["errorCode"] in ("INVALID_VALUE", "CHECK_VIOLATION")) == (422, True), (
            name,
            body,
        )
    for name, value in {
        "a_varchar": '"abcdef"',
        "a_short": '"abcd"',
        "a_numeric": "1.101",
        "a_bit": '"1010"',
        "a_positive": "-1",
    }.items():
        assert await odd.where(f'{{"{name}": {value}}}') == "", name
    assert await odd.where('{"a_char": "ab"}') == "1"


async def test_a_domain_that_is_not_null_takes_its_default(odd: Odd) -> None:
    assert await odd.asking.data("create", "d", {"data": {"id": 1}}) == {"id": 1, "s": 7}
    assert (await odd.asking.error("create", "d", {"data": {"id": 2, "s": None}}))[0] == "NOT_NULL_VIOLATION"
