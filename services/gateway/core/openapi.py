"""A project's own API as OpenAPI 3.1: a group of endpoints per table, its saved queries and its functions."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec

from libs.common.schema import Column, Function, Schema, Table
from services.gateway.core import openapi_parts as parts
from services.gateway.core import openapi_tables as tables
from services.gateway.core.functions import column as argument_column
from services.gateway.core.functions import signature
from services.gateway.core.json import Json, Object
from services.gateway.core.jsontypes import SCALAR, column_schema, example, plain, value_schema
from services.gateway.core.saved import Definition, Parameter

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")
_QUERIES: Final = "Saved queries"
_FUNCTIONS: Final = "Functions"


class Named(NamedTuple):
    """A saved query by its name."""

    name: str
    definition: Definition


def document(schema: Schema, project: int, name: str, queries: Sequence[Named], url: str) -> bytes:
    """The description as JSON.

    Args:
        schema: The project's tables and functions.
        project: Its number.
        name: What it is called.
        queries: Its saved queries.
        url: Where the gateway is reached.
    """
    base = f"/v1/projects/{project}"
    names = Names(schema)
    paths: Object = {"/query": _query_path()}
    schemas: Object = {}
    responses: Object = {}
    tags: list[Json] = [{"name": "Query", "description": "Every operation on every table, in one address."}]
    for table in schema.tables:
        title, component = names.of(table)
        paths.update(tables.paths(table, title, component, base))
        schemas.update(tables.schemas(table, component))
        responses.update(tables.responses(table, component))
        tags.append({"name": title, "description": plain(table.comment) or f"The {_KINDS[table.kind]} {title}."})
    if queries:
        tags.append({"name": _QUERIES, "description": "SQL that was saved under a name."})
        paths.update(_query_paths(base, queries))
    if schema.functions:
        tags.append({"name": _FUNCTIONS, "description": "The database's own functions and procedures."})
        paths.update(_function_paths(base, schema.functions))
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": name,
                "version": str(schema.version),
                "description": "Made by Dbify from the database's schema; the version is the schema's.",
                "contact": {"name": "Dbify", "url": url},
            },
            "servers": [{"url": url}],
            "security": [{"apiKey": []}],
            "tags": tags,
            "paths": paths,
            "components": {
                "securitySchemes": {
                    "apiKey": {"type": "http", "scheme": "bearer", "description": "A key of the project, dbk_..."}
                },
                "parameters": parts.parameters() if schema.tables else {},
                "responses": {**responses, **parts.failures()},
                "schemas": {**schemas, "Error": parts.ERROR},
            },
        }
    )


_KINDS: Final = {
    "table": "table", "partitioned": "table", "view": "view", "materialized": "materialised view",
    "foreign": "foreign table",
}  # fmt: skip


class Names:
    """What tables are called: without their schema where they are found without it."""

    def __init__(self, schema: Schema) -> None:
        self._path = schema.search_path
        self._seen: dict[str, tuple[str, ...]] = {}
        self._taken = {"Error"}
        for table in schema.tables:
            self._seen[table.name] = (*self._seen.get(table.name, ()), table.schema)

    def of(self, table: Table) -> tuple[str, str]:
        """The table's name for requests, and that of its schema among the components."""
        among = self._seen[table.name]
        first = next((schema for schema in self._path if schema in among), among[0] if len(among) == 1 else None)
        title = table.name if first == table.schema and "." not in table.name else f"{table.schema}.{table.name}"
        component = unique = _UNSAFE.sub("_", title)
        while unique in self._taken or f"{unique}.new" in self._taken or f"{unique}.change" in self._taken:
            unique += f"_{len(self._taken)}"
            component = unique
        self._taken |= {component, f"{component}.new", f"{component}.change"}
        return title, component


def _query_path() -> Object:
    asked: Object = {"operation": "read", "tableName": "book", "payload": {"limit": 10}}
    schema: Object = {
        "type": "object",
        "required": ["operation"],
        "properties": {
            "operation": {"type": "string"},
            "tableName": {"type": "string", "description": "`table` or `schema.table`."},
            "payload": {"type": "object"},
        },
    }
    summary = "Read, create, update or delete rows, and more"
    return {"post": parts.operation("query", summary, "Query", parts.answer({}, []), parts.body(schema, asked))}


def _query_paths(base: str, queries: Sequence[Named]) -> Iterator[tuple[str, Json]]:
    for name, definition in queries:
        fields = [field.type.column(field.name) for field in definition.fields]
        row: Object = {"type": "object", "properties": {column.name: column_schema(column) for column in fields}}
        success = parts.answer({"type": "array", "items": row}, [parts.row_example(fields)], count=definition.write)
        columns = [each.type.column(each.name) for each in definition.parameters]
        body = parts.body(_params(definition.parameters), parts.row_example(columns))
        text: Object = {"description": plain(definition.description or f"The saved query {name}.")}
        item: Object = {}
        if not definition.write:
            parameters: Object = {"parameters": [*_in_query(definition.parameters)]}
            item["get"] = parts.operation(f"run.{name}", f"Run {name}", _QUERIES, success, {**text, **parameters})
        item["post"] = parts.operation(f"run.by.body.{name}", f"Run {name}", _QUERIES, success, {**text, **body})
        yield f"{base}/queries/{name}/run", item


def _in_query(parameters: Sequence[Parameter]) -> Iterator[Json]:
    for parameter in parameters:
        column = parameter.type.column(parameter.name)
        if column.kind in SCALAR:
            yield {
                "name": parameter.name, "in": "query", "required": parameter.required, "schema": value_schema(column),
                **parts.described(parameter.description),
            }  # fmt: skip


def _params(parameters: Sequence[Parameter]) -> Object:
    properties: Object = {
        each.name: {**column_schema(each.type.column(each.name)), **parts.described(each.description)}
        for each in parameters
    }
    required: list[Json] = [each.name for each in parameters if each.required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _function_paths(base: str, functions: Sequence[Function]) -> Iterator[tuple[str, Json]]:
    often = Counter((function.schema, function.name) for function in functions)
    for position, function in enumerate(functions):
        alone = often[function.schema, function.name] == 1
        name = f"{function.schema}.{function.name}" if alone else signature(function, types_only=True)
        data, shown = _returned(function)
        text = function.comment or f"It returns {function.returns or 'nothing'}."
        operation = parts.operation(
            f"call.{position}.{_UNSAFE.sub('_', function.name)}",
            f"Call {signature(function)}",
            _FUNCTIONS,
            parts.answer(data, shown),
            {"description": plain(text), **_arguments(function)},
        )
        yield f"{base}/functions/{quote(name, safe='.')}", {"post": operation}


def _returned(function: Function) -> tuple[Object, Json]:
    return ({"type": "array", "items": {}}, []) if function.returns_set else ({}, None)


def _arguments(function: Function) -> Object:
    columns: list[Column] = [argument_column(each, position) for position, each in enumerate(function.arguments)]
    if not all(argument.name for argument in function.arguments):
        shown: list[Json] = [example(column) for column in columns]
        return parts.body({"type": "array", "maxItems": len(columns), "items": {}}, shown)
    required: list[Json] = [argument.name for argument in function.arguments if not argument.optional]
    properties: Object = {column.name: column_schema(column) for column in columns}
    schema: Object = {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False,
    }  # fmt: skip
    return parts.body(schema, parts.row_example(columns))
