"""Descriptions of strange schemas."""

import ast
import json

import openapi_spec_validator
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.schema import FORMAT, Argument, Column, Database, Function, Kind, Schema, Table
from services.gateway.core.declarations import declarations
from services.gateway.core.openapi import document

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
KINDS: list[tuple[str, Kind]] = [
    ("integer", "integer"), ("text", "text"), ("character varying(2)", "text"), ("jsonb", "json"), ("date", "date"),
    ("boolean", "boolean"), ("public.x", "enum"), ("text[]", "array"), ("public.y", "composite"), ("point", "other"),
]  # fmt: skip


def column(name: str, kind: tuple[str, Kind], *, nullable: bool) -> Column:
    return Column(
        1, name, kind[0], kind[1], nullable, element="text", element_kind="text", enum=("a", "b"), comment=name
    )


COLUMNS = st.lists(
    st.builds(column, NAMES, st.sampled_from(KINDS), nullable=st.booleans()),
    unique_by=lambda each: each.name,
    max_size=4,
).map(tuple)


def table(names: tuple[str, str], columns: tuple[Column, ...]) -> Table:
    key = (columns[0].name,) if columns else ()
    return Table(1, names[0], names[1], "table", columns, key, writable=("insert", "update", "delete"))


TABLES = st.lists(
    st.builds(table, st.tuples(st.sampled_from(["public", "b.c", "d"]), NAMES), COLUMNS),
    unique_by=lambda each: (each.schema, each.name),
    max_size=4,
)


def schema(tables: list[Table], *functions: Function) -> Schema:
    return Schema(FORMAT, 1, Database("", 0, 1, "d", 180000), ("public",), ("public",), tuple(tables), (), functions)


@settings(max_examples=25, deadline=None)
@given(TABLES)
def test_any_schema_has_a_valid_description(tables: list[Table]) -> None:
    argument = Argument("", "integer", "integer", optional=False)
    function = Function(1, "public", "f{x}", (argument,), "void", returns_set=False, volatility="volatile")
    found = json.loads(document(schema(tables, function), 4, "shop", [], "https://api.example.com"))
    openapi_spec_validator.validate(found)
    rows = [path for path in found["paths"] if "/tables/" in path and not path.endswith("/{key}")]
    assert len(rows) == len(tables)
    operations = [each["operationId"] for path in found["paths"].values() for each in path.values() if "tags" in each]
    assert len(set(operations)) == len(operations)


@settings(max_examples=100, deadline=None)
@given(TABLES)
def test_any_schema_has_types_that_python_can_read(tables: list[Table]) -> None:
    ast.parse(declarations(schema(tables), "py"))
