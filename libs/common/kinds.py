"""What sort of values a type takes, by its name and by what PostgreSQL says of it."""

from collections.abc import Mapping
from typing import Final

from libs.common.schema import Kind

# By type name. The types of extensions stand among those of pg_catalog: no user without superuser makes a base type.
_BY_NAME: Final[Mapping[str, Kind]] = {
    "bool": "boolean",
    "int2": "integer", "int4": "integer", "int8": "integer", "oid": "integer",
    "numeric": "number", "float4": "number", "float8": "number",
    "text": "text", "varchar": "text", "bpchar": "text", "char": "text", "name": "text", "citext": "text",
    "json": "json", "jsonb": "json",
    "uuid": "uuid",
    "bytea": "bytes",
    "date": "date",
    "time": "time", "timetz": "time",
    "timestamp": "timestamp", "timestamptz": "timestamp",
    "interval": "interval",
    "vector": "vector", "halfvec": "vector", "sparsevec": "vector",
    "tsvector": "tsvector",
    "inet": "network", "cidr": "network", "macaddr": "network", "macaddr8": "network",
}  # fmt: skip
_BY_TYPTYPE: Final[Mapping[str, Kind]] = {"e": "enum", "r": "range", "m": "range", "c": "composite"}
# What format_type writes where that is not the type's name.
_SPELLED: Final[Mapping[str, str]] = {
    "boolean": "bool", "smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4",
    "double precision": "float8", "character varying": "varchar", "character": "bpchar",
    "time without time zone": "time", "time with time zone": "timetz",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
}  # fmt: skip


def kind_of(typtype: str, name: str) -> Kind:
    """The kind of a type that is neither a domain nor an array, by `typtype` and `typname`."""
    return _BY_TYPTYPE.get(typtype) or _BY_NAME.get(name, "other")


def kind_of_sql(type_sql: str) -> Kind:
    """The kind of a type as `format_type` writes it without a modifier, as far as its name alone says it."""
    return _BY_NAME.get(_SPELLED.get(type_sql, type_sql), "other")
