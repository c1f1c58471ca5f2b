import re
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Code, DbifyError
from libs.common.schema import Table
from services.gateway.core.json import Json, Object, decode
from services.gateway.core.payload import Operation, shape
from services.gateway.core.plan import Plan, compiled, plan
from services.gateway.core.request import Request
from services.gateway.core.where import OPERATORS
from tests.gateway.tables import BOOK, LOG, NOTHING, TOTALS, relation


def named(value: object) -> str:
    """A case's name, the same in every process: without the addresses that some values show."""
    return re.sub(r" object at 0x[0-9a-f]+", "", repr(value))


def planned(operation: Operation, payload: Json, table: Table = BOOK) -> Plan:
    return plan(Request(operation, table.name, cast("Object", payload)), relation(table))


def condition(where: Json) -> tuple[str, tuple[Any, ...]]:
    """The SQL after WHERE, and the arguments."""
    made = planned("delete", {"where": where, "select": False})
    return made.sql.partition(" WHERE ")[2].partition(" RETURNING ")[0], made.arguments


@pytest.mark.parametrize(
    ("where", "sql", "arguments"),
    [
        ({"id": 3}, 't."id" = $1::text::integer', ("3",)),
        ({"id": None}, 't."id" IS NULL', ()),
        ({"id": {"isNull": False}}, 'NOT (t."id" IS NULL)', ()),
        ({"id": {"not": None}}, 'NOT (t."id" IS NULL)', ()),
        ({"id": {"equals": None}}, 't."id" IS NULL', ()),
        ({"id": {"not": 3}}, 't."id" <> $1::text::integer', ("3",)),
        ({"id": {"gt": 1, "lte": 5}}, '(t."id" > $1::text::integer AND t."id" <= $2::text::integer)', ("1", "5")),
        ({"id": {"in": [1, "2"]}}, 't."id" = ANY ($1::text[]::integer[])', (["1", "2"],)),
        ({"id": {"notIn": []}}, 't."id" <> ALL ($1::text[]::integer[])', ([],)),
        ({"title": "x"}, 't."title" = $1::text', ("x",)),
        ({"title": {"in": ["x"]}}, 't."title" = ANY ($1::text[])', (["x"],)),
        ({"title": {"contains": "5%"}}, 't."title" ~~ $1::text', ("%5\\%%",)),
        ({"title": {"startsWith": "a_"}}, 't."title" ~~ $1::text', ("a\\_%",)),
        ({"title": {"endsWith": "z"}}, 't."title" ~~ $1::text', ("%z",)),
        ({"title": {"like": "a%"}}, 't."title" ~~ $1::text', ("a%",)),
        ({"title": {"ilike": "a%"}}, 't."title" ~~* $1::text', ("a%",)),
        ({"title": {"regex": "^a"}}, 't."title" ~ $1::text', ("^a",)),
        ({"title": {"contains": "a", "mode": "insensitive"}}, 't."title" ~~* $1::text', ("%a%",)),
        ({"title": {"regex": "^a", "mode": "insensitive"}}, 't."title" ~* $1::text', ("^a",)),
        ({"title": {"equals": "a", "mode": "insensitive"}}, 'lower(t."title"::text) = lower($1::text)', ("a",)),
        (
            {"title": {"in": ["a"], "mode": "insensitive"}},
            'lower(t."title"::text) = ANY (SELECT lower(v.text) FROM unnest($1::text[]) AS v(text))',
            (["a"],),
        ),
        ({"title": {"not": {"contains": "a"}}}, 'NOT (t."title" ~~ $1::text)', ("%a%",)),
        (
            {"title": {"not": {"equals": "a"}, "mode": "insensitive"}},
            'NOT (lower(t."title"::text) = lower($1::text))',
            ("a",),
        ),
        ({"isbn": "9"}, 't."isbn" = $1::text::bpchar', ("9",)),
        ({"isbn": {"endsWith": "9"}}, 't."isbn"::text ~~ $1::text', ("%9",)),
        ({"price": decode(b"1.10")}, 't."price" = $1::text::numeric', ("1.10",)),
        ({"genre": {"contains": "fic"}}, 't."genre"::text ~~ $1::text', ("%fic%",)),
        ({"tags": ["a", "b"]}, 't."tags" = $1::text::text[]', ('{"a","b"}',)),
        (
            {"tags": {"in": [["a"], []]}},
            't."tags" = ANY (SELECT v.text::text[] FROM unnest($1::text[]) AS v(text))',
            (['{"a"}', "{}"],),
        ),
        ({"tags": {"has": "a"}}, 't."tags" @> ARRAY[$1::text]::text[]', ("a",)),
        ({"tags": {"hasEvery": ["a"]}}, 't."tags" @> $1::text[]::text[]', (["a"],)),
        ({"tags": {"hasSome": ["a"]}}, 't."tags" && $1::text[]::text[]', (["a"],)),
        ({"tags": {"isEmpty": True}}, 'cardinality(t."tags") = 0', ()),
        ({"meta": {"equals": {"a": 1}}}, 't."meta" = $1::text::jsonb', ('{"a":1}',)),
        ({"raw": [1]}, 't."raw"::jsonb = $1::text::jsonb', ("[1]",)),
        (
            {"meta": {"path": ["a", 0], "startsWith": "x"}},
            '(t."meta" #>> $1::text[]) ~~ $2::text',
            (["a", "0"], "x%"),
        ),
        ({"meta": {"path": ["a"], "equals": 5}}, '(t."meta" #>> $1::text[]) = $2::text', (["a"], "5")),
        ({"meta": {"path": ["a"], "isNull": True}}, '(t."meta" #>> $1::text[]) IS NULL', (["a"],)),
        ({"place": "(1,2)"}, 't."place"::text = $1::text::point::text', ("(1,2)",)),
        ({"flags": "101"}, 't."flags" = $1::text::bit varying', ("101",)),
        ({"size": None}, 't."size" IS NOT DISTINCT FROM NULL', ()),
        ({"short": "longer"}, 't."short" = $1::text', ("longer",)),
        ({'odd "name': "x"}, 't."odd ""name" = $1::text', ("x",)),
        ({"AND": [{"id": 1}, {"title": "x"}]}, '(t."id" = $1::text::integer AND t."title" = $2::text)', ("1", "x")),
        ({"AND": {"id": 1}}, 't."id" = $1::text::integer', ("1",)),
        ({"OR": [{"id": 1}, {"id": 2}]}, '(t."id" = $1::text::integer OR t."id" = $2::text::integer)', ("1", "2")),
        ({"OR": []}, "FALSE", ()),
        ({"OR": [], "id": 1}, '(FALSE AND t."id" = $1::text::integer)', ("1",)),
        ({"NOT": {}}, "FALSE", ()),
        ({"NOT": {"id": 1, "title": "x"}}, 'NOT ((t."id" = $1::text::integer AND t."title" = $2::text))', ("1", "x")),
        (
            {"NOT": [{"id": 1}, {"id": 2}]},
            '(NOT (t."id" = $1::text::integer) AND NOT (t."id" = $2::text::integer))',
            ("1", "2"),
        ),
    ],
    ids=named,
)
def test_a_where_becomes_sql_and_arguments(where: Json, sql: str, arguments: tuple[Any, ...]) -> None:
    assert condition(where) == (sql, arguments)


@pytest.mark.parametrize(
    "where", [{}, {"AND": []}, {"AND": [{}]}, {"NOT": []}, {"NOT": {"OR": []}}, {"OR": [{}, {"id": 1}]}]
)
@pytest.mark.parametrize("operation", ["update", "delete"])
def test_a_write_to_every_row_must_be_meant(operation: Operation, where: Json) -> None:
    payload: dict[str, Json] = {"where": where} | ({"data": {"id": 1}} if operation == "update" else {})
    with pytest.raises(DbifyError) as caught:
        planned(operation, payload)
    assert caught.value.code is Code.WHERE_REQUIRED
    assert '"all": true' in caught.value.message
    assert planned(operation, {**payload, "all": True}).write


@pytest.mark.parametrize(
    ("payload", "inner"),
    [
        ({"id": 3}, 'FROM "public"."book" AS t WHERE t."id" = $1::text::integer)'),
        ({"isbn": "9"}, 'FROM "public"."book" AS t WHERE t."isbn" = $1::text::bpchar)'),
        ({"isbn": {"equals": "9", "mode": "insensitive"}}, 'lower($1::text) ORDER BY t."id" LIMIT 100) AS r)'),
        ({"id": {"gt": 3}}, 't."id" > $1::text::integer ORDER BY t."id" LIMIT 100) AS r)'),
        ({}, '(SELECT t.* FROM "public"."book" AS t ORDER BY t."id" LIMIT 100) AS r)'),
        ({"where": {"id": 3}, "select": ["title"]}, '(SELECT t."title" FROM "public"."book" AS t WHERE t."id" ='),
        ({"select": ["id", "title", "id"]}, '(SELECT t."id", t."title" FROM'),
        ({"orderBy": {"title": "desc"}}, 'ORDER BY t."title" DESC, t."id" LIMIT 100'),
        ({"orderBy": [{"id": "desc"}, {"id": "asc"}]}, 'ORDER BY t."id" DESC LIMIT 100'),
        (
            {"orderBy": {"title": {"sort": "asc", "nulls": "first"}, "sold": {"sort": "desc", "nulls": "last"}}},
            'ORDER BY t."title" NULLS FIRST, t."sold" DESC NULLS LAST, t."id"',
        ),
        ({"limit": 7}, "LIMIT 7)"),
        ({"limit": 7, "offset": 20}, "LIMIT 7 OFFSET $1::text::bigint)"),
        ({"where": {"id": 3}, "limit": 0}, "LIMIT 0)"),
        ({"count": True}, '(SELECT count(*) FROM "public"."book" AS t) AS count'),
        ({"count": "exact", "where": {"id": 3}}, 't WHERE t."id" = $1::text::integer) AS count'),
        (
            {"select": ["price", "sold", "id"], "stringifyNumeric": True},
            'SELECT t."price"::text AS "price", t."sold"::text AS "sold", t."id" AS "id" FROM',
        ),
    ],
    ids=named,
)
def test_a_read_is_one_statement(payload: Json, inner: str) -> None:
    made = planned("read", payload)
    assert inner in made.sql
    assert not made.write


def test_a_table_without_a_key_is_read_in_no_order() -> None:
    assert "ORDER BY" not in planned("read", {}, LOG).sql


def test_a_column_named_like_a_word_of_reads_is_reached_through_where() -> None:
    with pytest.raises(DbifyError):
        planned("read", {"count": 5}, LOG)
    assert planned("read", {"where": {"count": 5}}, LOG).arguments == ("5",)


def test_a_plan_names_the_columns_that_the_request_names() -> None:
    made = planned(
        "read", {"where": {"OR": [{"id": 1}, {"title": "x"}]}, "select": ["price"], "orderBy": {"sold": "asc"}}
    )
    assert set(made.columns) == {"id", "title", "price", "sold"}
    assert made.table == "public.book"


@pytest.mark.parametrize(
    ("payload", "inner", "arguments"),
    [
        (
            {"data": {"title": "x", "price": 5}},
            '("title", "price") VALUES ($1::text, $2::text::numeric) RETURNING t.*)',
            ("x", "5"),
        ),
        ({"data": {}}, "SELECT FROM generate_series(1, $1::text::integer)", ("1",)),
        ({"data": [{}, {}]}, "SELECT FROM generate_series(1, $1::text::integer)", ("2",)),
        ({"data": []}, "SELECT FROM generate_series(1, $1::text::integer)", ("0",)),
        (
            {"data": [{"title": "x", "sold": 1}, {"sold": None, "title": "y"}]},
            "SELECT v.c0, v.c1::bigint FROM unnest($1::text[], $2::text[]) AS v(c0, c1)",
            (["x", "y"], ["1", None]),
        ),
        (
            {"data": [{"title": "x"}, {"sold": 1}]},
            '("title", "sold") VALUES ($1::text, DEFAULT), (DEFAULT, $2::text::bigint)',
            ("x", "1"),
        ),
        ({"data": {"title": "x"}, "select": ["id"]}, 'RETURNING t."id")', ("x",)),
        ({"data": {"title": "x"}, "select": False}, "RETURNING 1)", ("x",)),
        (
            {"data": {"size": {"w": 1}}},
            "(CASE WHEN $1::text LIKE '{%' THEN json_populate_record(NULL::public.size, $1::text::json) ELSE ",
            ('{"w":1}',),
        ),
    ],
    ids=named,
)
def test_a_create_is_one_statement(payload: Json, inner: str, arguments: tuple[Any, ...]) -> None:
    made = planned("create", payload)
    assert inner in made.sql
    assert made.arguments == arguments
    assert made.write


def test_a_bulk_create_has_one_statement_whatever_its_rows() -> None:
    rows: list[Json] = [{"title": str(position)} for position in range(5_000)]
    assert planned("create", {"data": rows}).sql == planned("create", {"data": rows[:1]}).sql


@pytest.mark.parametrize(
    ("data", "assignment", "arguments"),
    [
        ({"title": "x"}, 'SET "title" = $1::text WHERE', ("x",)),
        ({"sold": {"increment": 1}}, 'SET "sold" = t."sold" + $1::text::bigint WHERE', ("1",)),
        ({"sold": {"decrement": 2}}, 'SET "sold" = t."sold" - $1::text::bigint WHERE', ("2",)),
        ({"price": {"multiply": decode(b"1.1")}}, 'SET "price" = t."price" * $1::text::numeric WHERE', ("1.1",)),
        ({"meta": {"increment": 1}}, 'SET "meta" = $1::text::jsonb WHERE', ('{"increment":1}',)),
        ({"title": None, "sold": 1}, 'SET "title" = $1::text, "sold" = $2::text::bigint WHERE', (None, "1")),
    ],
    ids=named,
)
def test_an_update_sets_or_steps(data: Json, assignment: str, arguments: tuple[Any, ...]) -> None:
    made = planned("update", {"where": {"id": None}, "data": data})
    assert assignment in made.sql
    assert made.arguments == arguments


WRONG: list[tuple[Operation, Any, Code, str]] = [
    ("read", {"titel": "x"}, Code.COLUMN_NOT_FOUND, 'Did you mean "title"?'),
    ("read", {"wher": {"id": 1}}, Code.COLUMN_NOT_FOUND, 'Did you mean "where"?'),
    ("read", {"where": {"id": {"gte": 1, "lower": 1}}}, Code.UNKNOWN_OPERATOR, "equals"),
    ("read", {"title": {"contain": "x"}}, Code.UNKNOWN_OPERATOR, 'Did you mean "contains"?'),
    ("read", {"where": {}, "limt": 1}, Code.UNKNOWN_FIELD, 'Did you mean "limit"?'),
    ("read", {"where": []}, Code.INVALID_REQUEST, '"where" must be an object'),
    ("read", {"where": None}, Code.INVALID_REQUEST, "not null"),
    ("read", {"OR": {"id": 1}}, Code.INVALID_REQUEST, '"OR" must be an array'),
    ("read", {"AND": [5]}, Code.INVALID_REQUEST, '"AND[0]"'),
    ("read", {"NOT": 5}, Code.INVALID_REQUEST, '"NOT"'),
    ("read", {"id": {}}, Code.INVALID_REQUEST, "no operator"),
    ("read", {"title": {"mode": "insensitive"}}, Code.INVALID_REQUEST, "no operator"),
    ("read", {"title": {"equals": "x", "mode": "loud"}}, Code.INVALID_REQUEST, "insensitive"),
    ("read", {"title": {"isNull": 1}}, Code.INVALID_REQUEST, "true or false"),
    ("read", {"id": {"gt": None}}, Code.INVALID_VALUE, "not null"),
    ("read", {"id": {"in": [1, None]}}, Code.INVALID_VALUE, "isNull"),
    ("read", {"id": {"in": 1}}, Code.INVALID_VALUE, "an array of values"),
    ("read", {"id": {"contains": "1"}}, Code.OPERATOR_NOT_APPLICABLE, "equals, not, in"),
    ("read", {"id": {"equals": 1, "mode": "insensitive"}}, Code.OPERATOR_NOT_APPLICABLE, "insensitive"),
    ("read", {"id": {"path": ["a"], "equals": "1"}}, Code.OPERATOR_NOT_APPLICABLE, '"path"'),
    ("read", {"meta": {"path": [], "equals": "1"}}, Code.INVALID_REQUEST, '"path"'),
    ("read", {"place": {"lt": "(1,2)"}}, Code.OPERATOR_NOT_APPLICABLE, '"lt"'),
    ("read", {"title": {"has": "x"}}, Code.OPERATOR_NOT_APPLICABLE, '"has"'),
    ("read", {"orderBy": {"raw": "asc"}}, Code.OPERATOR_NOT_APPLICABLE, "no order"),
    ("read", {"orderBy": {"title": "up"}}, Code.INVALID_REQUEST, '"asc" or "desc"'),
    ("read", {"orderBy": {"title": {"sort": "asc", "nulls": "middle"}}}, Code.INVALID_REQUEST, '"first" or "last"'),
    ("read", {"orderBy": {"title": {"order": "asc"}}}, Code.UNKNOWN_FIELD, "sort"),
    ("read", {"orderBy": ["title"]}, Code.INVALID_REQUEST, "orderBy"),
    ("read", {"orderBy": {"titel": "asc"}}, Code.COLUMN_NOT_FOUND, "title"),
    ("read", {"select": ["titel"]}, Code.COLUMN_NOT_FOUND, "title"),
    ("read", {"select": {"title": True}}, Code.INVALID_REQUEST, "array of column names"),
    ("read", {"select": [1]}, Code.INVALID_REQUEST, "array of column names"),
    ("read", {"select": False}, Code.INVALID_REQUEST, "array of column names"),
    ("read", {"limit": 1001}, Code.INVALID_REQUEST, "1,000"),
    ("read", {"limit": -1}, Code.INVALID_REQUEST, "limit"),
    ("read", {"limit": True}, Code.INVALID_REQUEST, "limit"),
    ("read", {"limit": "5"}, Code.INVALID_REQUEST, "limit"),
    ("read", {"offset": -1}, Code.INVALID_REQUEST, "offset"),
    ("read", {"offset": 1 << 64}, Code.INVALID_REQUEST, "offset"),
    ("read", {"count": 1}, Code.INVALID_REQUEST, "count"),
    ("read", {"count": "planned"}, Code.INVALID_REQUEST, "count"),
    ("read", {"stringifyNumeric": 1}, Code.INVALID_REQUEST, "stringifyNumeric"),
    ("create", {}, Code.INVALID_REQUEST, "missing"),
    ("create", {"title": "x"}, Code.UNKNOWN_FIELD, "data"),
    ("create", {"data": 5}, Code.INVALID_REQUEST, "a number"),
    ("create", {"data": [5]}, Code.INVALID_REQUEST, "a number"),
    ("create", {"data": {"titel": "x"}}, Code.COLUMN_NOT_FOUND, "title"),
    ("create", {"data": {"total": 1}}, Code.COLUMN_NOT_WRITABLE, "total"),
    ("create", {"data": {"serial": 1}}, Code.COLUMN_NOT_WRITABLE, "serial"),
    ("create", {"data": [{}] * 10_001}, Code.TOO_COMPLEX, "10,000"),
    ("create", {"data": [{"id": 1, "sold": 1, "price": 1, "out": True}] * 9_000 + [{}]}, Code.TOO_COMPLEX, "32,767"),
    ("update", {"where": {"id": 1}}, Code.INVALID_REQUEST, "missing"),
    ("update", {"where": {"id": 1}, "data": {}}, Code.INVALID_REQUEST, "empty"),
    ("update", {"where": {"id": 1}, "data": {"title": {"increment": 1}}}, Code.OPERATOR_NOT_APPLICABLE, "no number"),
    ("update", {"where": {"id": 1}, "data": {"sold": {"increment": None}}}, Code.INVALID_VALUE, "null"),
    ("update", {"where": {"id": 1}, "data": {"sold": {"inc": 1}}}, Code.INVALID_VALUE, "object"),
    ("update", {"data": {"sold": 1}}, Code.WHERE_REQUIRED, "all"),
    ("delete", {}, Code.WHERE_REQUIRED, "all"),
    ("delete", {"all": 1}, Code.INVALID_REQUEST, "all"),
    ("delete", {"id": 1}, Code.UNKNOWN_FIELD, "where"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "payload", "code", "says"), WRONG, ids=lambda value: named(value)[:60])
def test_a_wrong_payload_says_what_to_do(operation: Operation, payload: Any, code: Code, says: str) -> None:
    with pytest.raises(DbifyError) as caught:
        planned(operation, payload)
    assert caught.value.code is code, caught.value.message
    assert says in caught.value.message


def test_a_view_that_takes_no_writes_says_so() -> None:
    with pytest.raises(DbifyError) as caught:
        planned("create", {"data": {"n": 1}}, TOTALS)
    assert caught.value.code is Code.TABLE_NOT_WRITABLE
    assert "a view" in caught.value.message


def test_a_table_without_columns_can_be_read_and_written() -> None:
    assert "'{}'" in planned("read", {}, NOTHING).sql
    assert "RETURNING 1" in planned("create", {"data": {}}, NOTHING).sql


def test_a_tree_may_nest_and_branch_only_so_far() -> None:
    deep: dict[str, Json] = {"id": 1}
    for _ in range(200):
        deep = {"NOT": deep}
    wide: list[Json] = [{"id": 1}] * 501
    negated: dict[str, Json] = {"equals": 1}
    for _ in range(200):
        negated = {"not": negated}
    trees: list[Json] = [deep, {"OR": wide}, {"id": negated}]
    for where in trees:
        with pytest.raises(DbifyError) as caught:
            condition(where)
        assert caught.value.code is Code.TOO_COMPLEX


def test_statements_are_compiled_once_a_shape() -> None:
    book = relation(BOOK)
    first = plan(Request("read", "book", {"id": 1}), book)
    second = plan(Request("read", "book", {"id": 2}), book)
    assert first.sql is second.sql
    assert (first.arguments, second.arguments) == (("1",), ("2",))


def test_shapes_without_end_do_not_fill_the_memory() -> None:
    book = relation(BOOK)
    for limit in range(1_000):
        plan(Request("read", "book", {"limit": limit}), book)
    assert len(book.statements._kept) <= 256


# A value that would show if it ever stood in SQL.
MARK = "zqx"
scalars = st.one_of(st.none(), st.booleans(), st.just(778_899), st.just(MARK), st.just(f"'; {MARK} --"))
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([MARK, "a", "increment"]), inner, max_size=2)
    ),
    max_leaves=5,
)
columns = st.sampled_from([column.name for column in BOOK.columns])
tests = st.one_of(
    json_values, st.dictionaries(st.sampled_from([*OPERATORS, "mode", "path"]), json_values, min_size=1, max_size=3)
)
wheres = st.recursive(
    st.dictionaries(columns, tests, max_size=3),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"AND": st.lists(inner, max_size=2), "OR": st.lists(inner, max_size=2), "NOT": inner}
    ),
    max_leaves=6,
)
payloads = st.one_of(
    st.tuples(st.just("read"), wheres),
    st.tuples(
        st.just("read"),
        st.fixed_dictionaries(
            {"where": wheres},
            optional={
                "select": st.lists(columns),
                "orderBy": st.dictionaries(columns, st.sampled_from(["asc", "desc"])),
            },
        ),
    ),
    st.tuples(st.just("create"), st.fixed_dictionaries({"data": st.dictionaries(columns, json_values)})),
    st.tuples(
        st.just("create"),
        st.fixed_dictionaries({"data": st.lists(st.dictionaries(columns, json_values, max_size=3), max_size=4)}),
    ),
    st.tuples(
        st.just("update"),
        st.fixed_dictionaries({"where": wheres, "data": st.dictionaries(columns, json_values, min_size=1)}),
    ),
    st.tuples(st.just("delete"), st.fixed_dictionaries({"where": wheres})),
)


@given(payloads)
def test_no_value_ever_stands_in_sql(asked: tuple[Operation, Object]) -> None:
    operation, payload = asked
    try:
        statement = compiled(shape(operation, payload), relation(BOOK))
    except DbifyError:
        return
    assert MARK not in statement.sql
    assert "778899" not in statement.sql


@given(payloads)
def test_a_payload_is_planned_or_refused_with_a_documented_error(asked: tuple[Operation, Object]) -> None:
    operation, payload = asked
    try:
        made = planned(operation, payload)
    except DbifyError as error:
        assert error.code is not Code.INTERNAL_ERROR  # noqa: PT017 - either outcome is right
        return
    assert made.sql.count("$") >= len(made.arguments)
    for argument in made.arguments:
        assert argument is None or isinstance(argument, str | list)
