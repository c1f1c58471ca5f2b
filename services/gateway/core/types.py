"""What PostgreSQL can do with a column's type: how a text becomes a value of it, and how two of them compare."""

import re
from typing import Final

from libs.common.schema import Column, Kind

# A quoted name, or a modifier such as (10,2).
_MODIFIER: Final = re.compile(r'("(?:[^"]|"")*")|\([^()]*\)')
_QUALIFIED: Final = re.compile(r'("(?:[^"]|"")*"|[^."]+)\.(.+)')
# Without a modifier these would mean a length of one.
_UNBOUNDED: Final = {"character": "bpchar", "bit": "bit varying"}

_EQUAL_KINDS: Final[frozenset[Kind]] = frozenset(
    {
        "boolean", "integer", "number", "text", "uuid", "bytes", "date", "time", "timestamp", "interval", "enum",
        "range", "network", "vector", "tsvector",
    }
)  # fmt: skip
_ORDERED_KINDS: Final = _EQUAL_KINDS - {"vector", "tsvector"}
# Kind "other" holds what has no operators (xml), what compares by area (box), and these, which are well-behaved.
_ORDERED_NAMES: Final = frozenset({"money", "bit varying", "pg_lsn", "ltree"})
_EQUAL_NAMES: Final = _ORDERED_NAMES | {"hstore"}
_PATTERN_NAMES: Final = frozenset({"text", "character varying", "citext"})
# Enums, ranges and arrays have their operators from pg_catalog, whatever schema the type is in.
_EXTENSION_KINDS: Final[frozenset[Kind]] = frozenset({"text", "vector", "other"})
_PATTERN_KINDS: Final[frozenset[Kind]] = frozenset({"text", "enum", "other"})


def bare(type_sql: str) -> str:
    """A type without its modifier, so that a cast to it neither cuts nor rounds: `numeric(10,2)` is `numeric`."""
    text = _MODIFIER.sub(lambda match: match[1] or "", type_sql)
    element = text.removesuffix("[]")
    if element.startswith("interval"):
        element = "interval"
    return _UNBOUNDED.get(element, element) + text[len(text.removesuffix("[]")) :]


def base(column: Column) -> str:
    """A column's type as a cast takes it, a domain seen through."""
    return bare(column.base or column.type)


def local(type_sql: str) -> str:
    """A type's name without its schema."""
    qualified = _QUALIFIED.fullmatch(type_sql)
    return (qualified[2] if qualified else type_sql).strip('"')


def element(column: Column) -> Column:
    """What an array column holds, as if it were a column."""
    return Column(column.number, column.name, column.element, column.element_kind, nullable=True, enum=column.enum)


def is_equal(column: Column) -> bool:
    """Whether the type has an equality of its own that can be relied upon."""
    if column.kind == "array":
        return is_equal(element(column))
    if column.kind == "json":
        return local(base(column)) == "jsonb"
    return column.kind in _EQUAL_KINDS or local(base(column)) in _EQUAL_NAMES


def is_ordered(column: Column) -> bool:
    """Whether lt, gt and an order mean something."""
    if column.kind == "array":
        return is_ordered(element(column))
    return column.kind in _ORDERED_KINDS or local(base(column)) in _ORDERED_NAMES


def is_pattern(column: Column) -> bool:
    """Whether it can be searched as text."""
    return column.kind in _PATTERN_KINDS


def takes_objects(column: Column) -> bool:
    """Whether a JSON object is a value of it."""
    return column.kind in ("json", "composite") or local(base(column)) == "hstore"


def cast(column: Column, text: str) -> str:
    """SQL that reads the SQL text expression as the column's type."""
    type_sql = base(column)
    if type_sql in ("text", "character varying"):
        return text
    if column.kind == "composite":
        # A row comes in its text form, which starts with a parenthesis, or as a JSON object.
        as_json = f"json_populate_record(NULL::{type_sql}, {text}::json)"
        return f"(CASE WHEN {text} LIKE '{{%' THEN {as_json} ELSE {text}::{type_sql} END)"
    if column.kind == "array" and column.element_kind == "composite":
        as_json = f"ARRAY(SELECT json_populate_recordset(NULL::{bare(column.element)}, {text}::json))"
        return f"(CASE WHEN {text} LIKE '[{{%' THEN {as_json} ELSE {text}::{type_sql} END)"
    return f"{text}::{type_sql}"


def cast_list(column: Column, texts: str) -> str:
    """SQL that reads an SQL text[] expression as an array of the column's type."""
    return texts if base(column) in ("text", "character varying") else f"{texts}::{base(column)}[]"


def operator(column: Column, sign: str) -> str:
    """The operator of the column's type as SQL.

    An extension's stand in its own schema, and are meant whether or not that is on the search path: without, citext
    would be compared as text.
    """
    qualified = _QUALIFIED.fullmatch(base(column)) if column.kind in _EXTENSION_KINDS else None
    return f"OPERATOR({qualified[1]}.{sign})" if qualified else sign


def comparable(column: Column, sql: str) -> str:
    """The column as what `cast` compares with: bit[] alone knows no operator with bit varying[]."""
    return f"{sql}::bit varying[]" if base(column) == "bit varying[]" else sql


def is_searchable(column: Column) -> bool:
    """Whether a pattern goes straight onto it; anything else is matched as text, so that char(n) loses its padding."""
    return local(base(column)) in _PATTERN_NAMES


def stored(column: Column, text: str) -> str:
    """SQL that turns the SQL text expression into what is written to the column.

    Text is left to the assignment's own cast, which refuses what is too long where an explicit one would cut it.
    """
    return text if column.kind == "text" else cast(column, text)


def stringified(column: Column, sql: str) -> str:
    """The column as text where it holds numeric or int8, which JSON readers round; else as it is.

    A domain over a number counts, whatever its size.
    """
    name = base(column).removesuffix("[]")
    if name in ("bigint", "numeric"):
        return f"{sql}::text{'[]' if column.kind == 'array' else ''}"
    return sql
