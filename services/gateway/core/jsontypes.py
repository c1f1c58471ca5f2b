"""Columns as JSON Schema (2020-12), the way PostgreSQL renders them in answers."""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from libs.common.schema import Column, Kind
from services.gateway.core import types
from services.gateway.core.json import Json

JsonSchema: TypeAlias = dict[str, Json]

_SIMPLE: Final[Mapping[Kind, JsonSchema]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "json": {},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "composite": {"type": "object"},
}
_BY_TYPE: Final[Mapping[str, JsonSchema]] = {
    "smallint": {"type": "integer", "minimum": -32768, "maximum": 32767},
    "integer": {"type": "integer", "format": "int32"},
    "bigint": {"type": "integer", "format": "int64"},
    "real": {"type": "number", "format": "float"},
    "double precision": {"type": "number", "format": "double"},
    "timestamp with time zone": {"type": "string", "format": "date-time"},
    "hstore": {"type": "object"},
}
_LENGTH: Final = re.compile(r"(?:character varying|character)\((\d+)\)")
# Kinds whose values fit into a query string as they are.
SCALAR: Final[frozenset[Kind]] = frozenset(
    {"boolean", "integer", "number", "text", "uuid", "date", "time", "timestamp", "interval", "enum", "network"}
)
_EXAMPLES: Final[Mapping[Kind, Json]] = {
    "boolean": True,
    "integer": 1,
    "number": 10,
    "text": "text",
    "json": {"key": "value"},
    "uuid": "018f4e9c-5d3a-7b6e-8a1c-2f3d4e5f6a7b",
    "bytes": "\\x0aff",
    "date": "2026-01-31",
    "time": "12:30:00",
    "timestamp": "2026-01-31T12:30:00+00:00",
    "interval": "1 day 02:00:00",
    "range": "[1,10)",
    "composite": {},
    "vector": "[0.1,0.2]",
    "tsvector": "'text':1",
    "network": "10.0.0.1",
}


def value_schema(column: Column) -> JsonSchema:
    """The schema of a column's values other than null."""
    if column.kind == "array":
        # An element may be null, and an array have more dimensions than its type says.
        return {"type": "array", "items": _nullable(value_schema(types.element(column)))}
    if column.kind == "enum" and column.enum:
        return {"type": "string", "enum": list(column.enum)}
    found = _BY_TYPE.get(types.local(types.base(column)), _SIMPLE.get(column.kind))
    return _text(column) if found is None else dict(found)


def _text(column: Column) -> JsonSchema:
    length = _LENGTH.fullmatch(column.base or column.type)
    return {"type": "string", "maxLength": int(length[1])} if length else {"type": "string"}


def column_schema(column: Column) -> JsonSchema:
    """The schema of a column, with what its comment and its constraints say."""
    found = value_schema(column)
    if column.nullable:
        found = _nullable(found)
    if column.comment:
        found["description"] = plain(column.comment)
    if column.generated or column.identity == "always":
        found["readOnly"] = True
    found["x-postgresql-type"] = column.type
    return found


def _nullable(found: JsonSchema) -> JsonSchema:
    if "type" not in found:
        return found
    kind = found["type"]
    known: list[Json] = [kind] if isinstance(kind, str) else []
    labels = found.get("enum")
    more: JsonSchema = {"enum": [*labels, None]} if isinstance(labels, list) else {}
    return {**found, "type": [*known, "null"], **more}


def example(column: Column) -> Json:
    """A value that a column may have."""
    if column.kind == "array":
        return [example(types.element(column))]
    if column.kind == "enum" and column.enum:
        return column.enum[0]
    found = _EXAMPLES.get(column.kind, "text")
    length = _LENGTH.fullmatch(column.base or column.type)
    return found[: int(length[1])] if length and isinstance(found, str) else found


def plain(text: str) -> str:
    """A comment for a place that shows Markdown: nothing of it is run."""
    return text.replace("<", "&lt;").replace("eval(", "eval\\(")
