"""The endpoints of tables, as OpenAPI describes them."""

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from libs.common.schema import Column, Table
from services.gateway.core import openapi_parts as parts
from services.gateway.core.json import Json, Object
from services.gateway.core.jsontypes import SCALAR, column_schema, example, plain, value_schema
from services.gateway.core.openapi_parts import described, ref
from services.gateway.core.rest import is_word

_READ_PARAMETERS: Final = ("select", "orderBy", "limit", "offset", "after", "count", "where")
_KEY_PARAMETER: Final = "key"


def schemas(table: Table, component: str) -> Object:
    """The table's rows, what makes a new one, and what may change in one."""
    properties: Object = {column.name: column_schema(column) for column in table.columns}
    found: Object = {component: {"type": "object", "properties": properties, **described(table.comment)}}
    writable = {column.name: ref(component, column.name) for column in table.columns if is_writable(column)}
    if "insert" in table.writable:
        needed = [column.name for column in table.columns if is_needed(column)]
        required: Object = {"required": list(needed)} if needed else {}
        found[f"{component}.new"] = {
            "type": "object", "properties": dict(writable), "additionalProperties": False, **required,
        }  # fmt: skip
    if "update" in table.writable and writable:
        found[f"{component}.change"] = {
            "type": "object", "properties": dict(writable), "additionalProperties": False, "minProperties": 1,
        }  # fmt: skip
    return found


def is_writable(column: Column) -> bool:
    """Whether a value may be given for it."""
    return not column.generated and column.identity != "always"


def is_needed(column: Column) -> bool:
    """Whether a new row has to have a value for it."""
    return is_writable(column) and not column.nullable and column.default is None and not column.identity


def responses(table: Table, component: str) -> Object:
    """What reading the table, and writing to it, answers."""
    rows, shown = parts.rows_of(component), parts.row_example(table.columns)
    found: Object = {f"{component}.rows": parts.answer(rows, [shown])}
    if "insert" in table.writable:
        found[f"{component}.created"] = parts.answer({"oneOf": [ref(component), rows]}, shown, count=True)
    if not {"update", "delete"}.isdisjoint(table.writable):
        found[f"{component}.changed"] = parts.answer(rows, [shown], count=True)
    return found


class _Endpoints:
    """The endpoints of one table.

    Args:
        table: The table.
        title: What requests call it.
        component: The name of its rows' schema.
    """

    def __init__(self, table: Table, title: str, component: str) -> None:
        self._table = table
        self._title = title
        self._component = component

    def rows(self) -> Iterator[tuple[str, Json]]:
        """What may be done to its rows."""
        filters: list[Json] = [
            {"name": column.name, "in": "query", "schema": value_schema(column)}
            for column in self._table.columns
            if column.kind in SCALAR and not is_word(column.name)
        ]
        listed: Object = {"parameters": [*map(parts.parameter, _READ_PARAMETERS), *filters]}
        yield "get", self._operation("list", "Read rows of", listed)
        if "insert" in self._table.writable:
            yield "post", self._create()
        yield from self._changes("rows of", "", ("where", "select", "all"))

    def row(self) -> Iterator[tuple[str, Json]]:
        """What may be done to one of its rows."""
        selected: Object = {"parameters": [parts.parameter("select")]}
        yield "get", self._operation("get", "Read one row of", selected)
        yield from self._changes("one row of", ".row", ("select",))

    def _create(self) -> Object:
        new = ref(f"{self._component}.new")
        body = parts.body(
            {"oneOf": [new, {"type": "array", "items": new}]},
            {column.name: example(column) for column in self._table.columns if is_needed(column)},
        )
        more: Object = {"parameters": [parts.parameter("select")], **body}
        return self._operation("create", "Create one row or several of", more, "created")

    def _changes(self, what: str, suffix: str, words: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
        parameters: Object = {"parameters": [*map(parts.parameter, words)]}
        changed = next((column for column in self._table.columns if is_writable(column)), None)
        if "update" in self._table.writable and changed is not None:
            body = parts.body(ref(f"{self._component}.change"), {changed.name: example(changed)})
            yield "patch", self._operation(f"update{suffix}", f"Change {what}", {**parameters, **body}, "changed")
        if "delete" in self._table.writable:
            yield "delete", self._operation(f"delete{suffix}", f"Delete {what}", parameters, "changed")

    def _operation(self, verb: str, summary: str, more: Object, outcome: str = "rows") -> Object:
        success: Object = {"$ref": f"#/components/responses/{self._component}.{outcome}"}
        return parts.operation(f"{verb}.{self._component}", f"{summary} {self._title}", self._title, success, more)


def paths(table: Table, title: str, component: str, base: str) -> Object:
    """A table's addresses: its rows, and each of them where its key is one column."""
    path, endpoints = f"{base}/tables/{quote(title, safe='.')}", _Endpoints(table, title, component)
    found: Object = {path: dict(endpoints.rows())}
    if len(table.primary_key) == 1:
        key = next(column for column in table.columns if column.name == table.primary_key[0])
        parameter: Object = {
            "name": _KEY_PARAMETER, "in": "path", "required": True, "schema": value_schema(key),
            "description": plain(f"The row's {key.name}."),
        }  # fmt: skip
        found[f"{path}/{{{_KEY_PARAMETER}}}"] = {"parameters": [parameter], **dict(endpoints.row())}
    return found
