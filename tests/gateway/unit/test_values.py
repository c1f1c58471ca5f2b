import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column
from services.gateway.core import types
from services.gateway.core.json import decode
from services.gateway.core.values import Values, path_texts, pattern
from tests.gateway.tables import column

BOOLEAN = column("c", "boolean", "boolean")
INTEGER = column("c", "integer", "integer")
NUMBER = column("c", "numeric(10,2)", "number")
TEXT = column("c", "text", "text")
UUID = column("c", "uuid", "uuid")
JSON = column("c", "jsonb", "json")
VECTOR = column("c", "public.vector(3)", "vector")
HSTORE = column("c", "public.hstore", "other")
MONEY = column("c", "money", "other")
PAIR = column("c", "public.pair", "composite")
INTEGERS = column("c", "integer[]", "array", element="integer", element_kind="integer")
TEXTS = column("c", "text[]", "array", element="text", element_kind="text")
JSONS = column("c", "jsonb[]", "array", element="jsonb", element_kind="json")
PAIRS = column("c", "public.pair[]", "array", element="public.pair", element_kind="composite")
BOXES = column("c", "box[]", "array", element="box", element_kind="other")


@pytest.mark.parametrize(
    ("of", "given_", "expected"),
    [
        (BOOLEAN, "true", "true"),
        (BOOLEAN, '"t"', "t"),
        (INTEGER, "12", "12"),
        (INTEGER, "1.0", "1"),
        (INTEGER, "1e3", "1000"),
        (INTEGER, '"12"', "12"),
        (NUMBER, "1.10", "1.10"),
        (NUMBER, "1e400", "1e400"),
        (NUMBER, "123456789012345678901234567890.5", "123456789012345678901234567890.5"),
        (NUMBER, '"NaN"', "NaN"),
        (TEXT, '"it\'s"', "it's"),
        (UUID, '"x"', "x"),
        (JSON, '{"a": [1.10, "x", null, true]}', '{"a":[1.10,"x",null,true]}'),
        (JSON, '"text"', '"text"'),
        (JSON, '"\\u0000"', '"\\u0000"'),
        (VECTOR, "[1, 2.5, -3]", "[1,2.5,-3]"),
        (VECTOR, '"[1,2,3]"', "[1,2,3]"),
        (HSTORE, '{"a": "b \\"c\\"", "d": null}', '"a"=>"b \\"c\\"","d"=>NULL'),
        (MONEY, "12.50", "12.50"),
        (PAIR, '{"a": 1}', '{"a":1}'),
        (PAIR, '"(1,x)"', "(1,x)"),
        (INTEGERS, "[]", "{}"),
        (INTEGERS, "[1, null, 3]", '{"1",NULL,"3"}'),
        (INTEGERS, "[[1, 2], [3, 4]]", '{{"1","2"},{"3","4"}}'),
        (INTEGERS, '"{1,2}"', "{1,2}"),
        (TEXTS, '["a,b", "NULL", "", "\\"", "\\\\"]', '{"a,b","NULL","","\\"","\\\\"}'),
        (JSONS, '[{"a": "x"}, [1, 2]]', '{"{\\"a\\":\\"x\\"}","[1,2]"}'),
        (PAIRS, '[{"a": 1}]', '[{"a":1}]'),
        (PAIRS, '["(1,x)", null]', '{"(1,x)",NULL}'),
        (BOXES, '["(1,1),(0,0)", "(2,2),(0,0)"]', '{"(1,1),(0,0)";"(2,2),(0,0)"}'),
        (TEXT, "null", None),
        (JSON, "null", None),
    ],
)
def test_a_value_becomes_postgres_text(of: Column, given_: str, expected: str | None) -> None:
    assert Values(of).value(decode(given_.encode())) == expected


@pytest.mark.parametrize(
    ("of", "given_", "says"),
    [
        (BOOLEAN, "1", "expects true or false, not a number"),
        (INTEGER, "true", "expects a whole number, not a boolean"),
        (INTEGER, "1.5", "expects a whole number"),
        (INTEGER, "1e400", "expects a whole number"),
        (INTEGER, "1e99999999999999999999", "expects a whole number"),
        (INTEGER, "1e-99999", "expects a whole number"),
        (INTEGER, "{}", "not an object"),
        (NUMBER, "false", "expects a number, not a boolean"),
        (TEXT, "5", "expects a string, not a number"),
        (TEXT, '"a\\u0000"', "U+0000"),
        (TEXTS, '["a\\u0000"]', "U+0000"),
        (UUID, "5", "expects a UUID"),
        (VECTOR, '[1, "2"]', "an array of numbers"),
        (VECTOR, "[true]", "an array of numbers"),
        (HSTORE, '{"a": 1}', "text form"),
        (INTEGERS, "[true]", "an array, each entry null or a whole number"),
        (INTEGERS, "5", "an array"),
        (INTEGERS, "[[[[[[[1]]]]]]]", "an array"),
        (PAIRS, '[{"a": 1}, null]', "an array"),
        (MONEY, "true", "text form"),
    ],
)
def test_a_value_of_another_json_type_is_refused_by_name(of: Column, given_: str, says: str) -> None:
    with pytest.raises(DbifyError) as caught:
        Values(of).value(decode(given_.encode()))
    assert caught.value.code is Code.INVALID_VALUE
    assert '"c"' in caught.value.message
    assert says in caught.value.message


def test_a_list_to_compare_with_takes_no_null_and_has_a_limit() -> None:
    with pytest.raises(DbifyError, match="isNull"):
        Values(INTEGER).operands([1, None])
    with pytest.raises(DbifyError) as caught:
        Values(INTEGER).operands([1] * 10_001)
    assert caught.value.code is Code.TOO_COMPLEX
    with pytest.raises(DbifyError, match="an array of values, not a number"):
        Values(INTEGER).operands(1)


def test_a_wrong_value_in_a_bulk_create_names_its_row() -> None:
    with pytest.raises(DbifyError) as caught:
        Values(INTEGER).from_rows([{"c": 1}, {"c": True}])
    assert caught.value.details["row"] == 1


@pytest.mark.parametrize(("text", "expected"), [("a", "%a%"), ("50%_\\", "%50\\%\\_\\\\%"), ("", "%%")])
def test_a_text_is_looked_for_literally(text: str, expected: str) -> None:
    assert pattern("%", "%")(text) == expected


@pytest.mark.parametrize("path", ["[]", "5", "[null]", "[true]", '["a\\u0000"]', "[1.5]"])
def test_a_path_is_keys_and_positions(path: str) -> None:
    assert path_texts(["a", 0]) == ["a", "0"]
    value = decode(path.encode())
    with pytest.raises(DbifyError) as caught:
        path_texts(value)
    assert caught.value.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("integer", "integer"),
        ("numeric(10,2)", "numeric"),
        ("numeric(10,2)[]", "numeric[]"),
        ("character varying(80)", "character varying"),
        ("character(13)", "bpchar"),
        ("character(13)[]", "bpchar[]"),
        ("bit(3)", "bit varying"),
        ("bit varying(5)", "bit varying"),
        ("timestamp(3) with time zone", "timestamp with time zone"),
        ("interval day to second(3)", "interval"),
        ("interval year to month[]", "interval[]"),
        ("public.vector(3)", "public.vector"),
        ("public.geometry(Point,4326)", "public.geometry"),
        ('app."Odd (3) Type"', 'app."Odd (3) Type"'),
        ('"char"', '"char"'),
    ],
)
def test_a_cast_neither_cuts_nor_rounds(type_: str, expected: str) -> None:
    assert types.bare(type_) == expected


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"))))
def test_an_array_literal_can_be_read_back(texts: list[str]) -> None:
    literal = Values(TEXTS).value([*texts])
    assert literal is not None
    assert _read_array(literal) == texts


def _read_array(literal: str) -> list[str]:
    """PostgreSQL's array_in, as far as one dimension of quoted texts needs it."""
    texts: list[str] = []
    position = 1
    while literal[position] != "}":
        assert literal[position] == '"'
        position += 1
        text = ""
        while literal[position] != '"':
            position += literal[position] == "\\"
            text += literal[position]
            position += 1
        texts.append(text)
        position += 1
        position += literal[position] == ","
    return texts
