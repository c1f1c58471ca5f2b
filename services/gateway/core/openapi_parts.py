"""The parts that descriptions of endpoints are made of."""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from libs.common.errors import Code
from libs.common.schema import Column
from services.gateway.core.json import Json, Object
from services.gateway.core.jsontypes import example, plain

# Those that a caller meets; whatever else is under `default`.
STATUSES: Final = (400, 401, 404, 409, 422, 503)
_ERRORS: Final[Object] = {
    **{str(status): {"$ref": f"#/components/responses/E{status}"} for status in STATUSES},
    "default": {"$ref": "#/components/responses/E"},
}
_WORDS: Final[Mapping[str, tuple[Object, str]]] = {
    "select": ({"type": "string"}, "Columns, comma-separated; all of them by default."),
    "orderBy": ({"type": "string"}, "Columns, comma-separated; `-` in front turns one around: `-created_at,name`."),
    "limit": ({"type": "integer", "minimum": 0, "maximum": 1000, "default": 100}, "The most rows."),
    "offset": ({"type": "integer", "minimum": 0, "default": 0}, "How many rows to leave out first."),
    "after": ({"type": "string"}, "The `nextCursor` of the page before."),
    "count": (
        {"type": "string", "enum": ["true", "false", "exact", "planned"]},
        "Also answer how many rows there are.",
    ),
    "where": (
        {"type": "string"},
        'Conditions as JSON, such as `{"sold": {"gte": 5}}`, besides `column=value` and `column.operator=value`.',
    ),
    "all": ({"type": "string", "enum": ["true", "false"]}, "Meant for every row: needed where there is no condition."),
}

ERROR: Final[Object] = {
    "type": "object",
    "required": ["errorCode", "message", "details", "requestId"],
    "properties": {
        "errorCode": {"type": "string", "enum": [code.name for code in Code]},
        "message": {"type": "string"},
        "details": {"type": "object"},
        "requestId": {"type": "string"},
    },
}


def ref(component: str, column: str = "") -> Object:
    """A table's rows, or one of their columns."""
    pointer = f"/properties/{quote(column.replace('~', '~0').replace('/', '~1'), safe='')}" if column else ""
    return {"$ref": f"#/components/schemas/{component}{pointer}"}


def described(comment: str) -> Object:
    """A comment, where there is one."""
    return {"description": plain(comment)} if comment else {}


def rows_of(component: str) -> Object:
    """An array of rows of a table."""
    return {"type": "array", "items": ref(component)}


def row_example(columns: Iterable[Column]) -> Object:
    """A row that may be."""
    return {column.name: example(column) for column in columns}


def parameter(name: str) -> Object:
    """A word of the query string."""
    return {"$ref": f"#/components/parameters/{name}"}


def parameters() -> Object:
    """All words of the query string."""
    return {
        name: {"name": name, "in": "query", "description": text, "schema": schema}
        for name, (schema, text) in _WORDS.items()
    }


def answer(data: Object, shown: Json, *, count: bool = False) -> Object:
    """A success with such `data`; `count` tells the answer of a write from a page of a read."""
    more: Object = {} if count else {"nextCursor": {"type": "string"}}
    properties: Object = {"data": data, "count": {"type": "integer"}, **more}
    example_: Object = {"data": shown, "count": 1} if count else {"data": shown}
    content: Object = {"schema": {"type": "object", "properties": properties}, "example": example_}
    return {"description": "It was done.", "content": {"application/json": content}}


def operation(operation_id: str, summary: str, tag: str, success: Object, more: Object) -> Object:
    """An operation; `more` has its parameters, its body, or another description."""
    return {
        "operationId": operation_id,
        "summary": plain(summary),
        "description": plain(f"{summary}."),
        "tags": [tag],
        "responses": {"200": success, **_ERRORS},
        **more,
    }


def body(schema: Object, shown: Json) -> Object:
    """A JSON body that has to be there."""
    content: Object = {"schema": schema, "example": shown}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def failures() -> Object:
    """The errors by status, and any other."""
    found: Object = {f"E{status}": _failure([code for code in Code if code.status == status]) for status in STATUSES}
    return {**found, "E": _failure([code for code in Code if code.status not in STATUSES])}


def _failure(codes: list[Code]) -> Object:
    shown: Object = {"errorCode": codes[0].name, "message": codes[0].meaning, "details": {}, "requestId": "018f..."}
    content: Object = {"schema": ref("Error"), "example": shown}
    return {"description": ", ".join(code.name for code in codes), "content": {"application/json": content}}
