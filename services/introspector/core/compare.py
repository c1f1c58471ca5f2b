"""Whether two schemas are the same structure."""

from msgspec.structs import replace

from libs.common.schema import Schema


def same_structure(before: Schema, after: Schema) -> bool:
    """Whether the schemas differ in nothing but version, fingerprint and estimated numbers of rows."""
    return _structure(before) == _structure(after)


def _structure(schema: Schema) -> Schema:
    tables = tuple(replace(table, estimated_rows=-1) for table in schema.tables)
    return replace(schema, version=0, fingerprint="", tables=tables)
