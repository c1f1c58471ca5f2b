"""The SQL of saved queries: its parameters, what it may be, and what is made of it."""

import postgast
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Code, DbifyError
from services.gateway.core import savedsql
from services.gateway.core.saved import Asked, Declared, Described, Draft, Field, Type, plan
from services.gateway.core.template import template

INTEGER = Type("integer", "integer")


def code(asked: Asked) -> str:
    with pytest.raises(DbifyError) as caught:
        Draft(asked)
    assert caught.value.code in {Code.INVALID_QUERY, Code.TOO_COMPLEX}
    return caught.value.message


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT {{a}}, {{ b }}, {{a}}", ("a", "b", "a")),
        ("SELECT '{{a}}', \"{{b}}\", $${{c}}$$, E'\\'{{d}}' -- {{e}}\n /* {{f}} */", ()),
        ("SELECT '{{1,2}}'::int[], x[1:{{n}}]::text::int", ("n",)),
        ("SELECT {{from}}, {{select}}", ("from", "select")),
        ("SELECT {{é}}", ()),
        ("SELECT { {a}}", ()),
        ("SELECT 'ü', {{a}} || 'ß'", ("a",)),
    ],
)
def test_parameters_are_found_outside_of_quotes(sql: str, names: tuple[str, ...]) -> None:
    assert template(sql).names == names


PIECE = st.sampled_from(
    ["SELECT ", "{{a}}", "{{ bb }}", "'ü{{x}}'", "::int", ", ", "é", "-- {{c}}\n", "$$ {{d}} $$", "[1:2]"]
)


@given(st.lists(PIECE).map("".join))
def test_each_character_of_what_is_rendered_is_led_back_to_the_source(sql: str) -> None:
    try:
        found = template(sql)
    except DbifyError:
        # A quote that is not closed.
        return

    def fill(name: str) -> str:
        return f"(${len(name)}::text)"

    rendered = found.render(fill)
    for position, letter in enumerate(rendered):
        origin = found.origin(fill, position)
        assert 0 <= origin < len(sql)
        assert sql[origin] in (letter, "{")
    assert len(found.texts) == len(found.names) + 1


@given(st.text(max_size=60))
def test_no_text_is_more_than_refused(text: str) -> None:
    for sql in (text, f"SELECT {text}", f"SELECT 1 {{{{a}}}} {text}"):
        try:
            Draft(Asked("q", sql, (Declared("a", text),)))
        except DbifyError as error:
            assert error.code in {Code.INVALID_QUERY, Code.TOO_COMPLEX}  # noqa: PT017  most are refused, some are not


@pytest.mark.parametrize(
    "text",
    ["int; DROP TABLE x", "int, 2", "int FROM secrets", "int)) --", "SETOF int", "x%TYPE", "", "int\0", "\ud800", "1"],
)
def test_a_type_is_nothing_but_a_type(text: str) -> None:
    try:
        sql = savedsql.type_sql(text)
    except DbifyError as error:
        assert error.code is Code.INVALID_QUERY  # noqa: PT017  either is right
    else:
        assert sql == "int"


def test_too_much_is_refused() -> None:
    assert "characters" in code(Asked("q", "SELECT 1" + " " * 20_000))
    assert "parameters" in code(Asked("q", "SELECT " + ",".join(f"{{{{p{n}}}}}" for n in range(101))))
    assert "nests" in code(Asked("q", "SELECT " + "NOT " * 4_000 + "true"))
    code(Asked("q", "SELECT '"))
    assert "one name" in code(Asked("q", "SELECT {{a}}", (Declared("a"), Declared("a"))))
    assert "does not stand" in code(Asked("q", "SELECT 1", (Declared("a"),)))
    assert "numbers" not in code(Asked("q", "SELECT {{a}}", (Declared("a b"),)))


def test_what_is_run_holds_no_value_and_one_statement() -> None:
    asked = Asked("q", "SELECT {{a}} + 1 AS v -- done\n;", (Declared("a", "integer", default="'; DROP TABLE x"),))
    definition = Draft(asked).defined(Described((INTEGER,), (Field("v", INTEGER),)))
    assert "DROP" not in definition.statement
    assert len(postgast.parse(definition.statement).stmts) == 1
    planned = plan("q", definition, {}, 10)
    assert planned.arguments == ("'; DROP TABLE x", "11")
    assert planned.sql == definition.statement


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "WITH dbify_result AS (SELECT 1) DELETE FROM t RETURNING *",
        "WITH RECURSIVE a AS (SELECT 1 UNION ALL SELECT * FROM a) UPDATE t SET x = 1 FROM a",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "SELECT nextval('s')",
        "TABLE t",
        "VALUES (1)",
    ],
)
def test_a_query_that_writes_becomes_the_last_part_of_one_statement(sql: str) -> None:
    written = savedsql.writing(savedsql.check(sql, int, write=True))
    tree = postgast.parse(written)
    (statement,) = tree.stmts
    parts = [part.common_table_expr.ctename for part in statement.stmt.select_stmt.with_clause.ctes]
    assert parts[-1].startswith("dbify_result")
    assert len(set(parts)) == len(parts)
