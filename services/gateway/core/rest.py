"""Requests to the endpoints of tables, saved queries and functions, as bodies for `/query`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.json import Json, Object, decode, shown
from services.gateway.core.where import OPERATORS

_OPERATIONS: Final[Mapping[str, str]] = {"GET": "read", "POST": "create", "PATCH": "update", "DELETE": "delete"}
# The operators whose operand is a list: JSON, or values between commas.
_LISTS: Final = frozenset({"in", "notIn", "hasEvery", "hasSome"})
_FLAGS: Final = frozenset({"isNull", "isEmpty"})
_WHOLE: Final = 18

Parameters = Sequence[tuple[str, str]]


class Rest(NamedTuple):
    """A request to a table's endpoint; `key` is "" without a row's key, `body` b"" without a body."""

    method: str
    table: str
    key: str
    parameters: Parameters
    body: bytes


def table_body(project: int, rest: Rest, key_column: str) -> bytes:
    """The body for `/query` that asks the same.

    Args:
        project: The project in the path.
        rest: The request.
        key_column: The column that `rest.key` is a value of.

    Raises:
        DbifyError: INVALID_REQUEST where the query string cannot be read, or does not go with the method.
    """
    payload, filters = _payload(rest.parameters)
    if rest.key:
        filters.append({key_column: {"equals": rest.key}})
    if rest.method == "POST":
        if filters:
            raise DbifyError(Code.INVALID_REQUEST, "POST takes no filters: the rows go into the body.")
    elif filters:
        payload["where"] = filters[0] if len(filters) == 1 else {"AND": filters}
    if rest.method in ("POST", "PATCH"):
        try:
            payload["data"] = decode(rest.body)
        except (ValueError, RecursionError):
            # It is for `/query` to say so, and to note it in the log.
            return rest.body
    return _body(project, _OPERATIONS[rest.method], payload, rest.table)


def run_body(project: int, query: str, parameters: Parameters, body: bytes, *, read_only: bool) -> bytes:
    """The body for `/query` that runs a saved query, with the parameters of the query string and of the body.

    Raises:
        DbifyError: INVALID_REQUEST where a parameter is given twice.
    """
    params: Json = {}
    if body:
        try:
            params = decode(body)
        except (ValueError, RecursionError):
            return body
    if isinstance(params, dict):
        for name, value in parameters:
            if name in params:
                raise DbifyError(Code.INVALID_REQUEST, f'The parameter "{shown(name)}" is given twice.')
            params[name] = value
    payload: Object = {"query": query, "params": params}
    return _body(project, "run", {**payload, "readOnly": True} if read_only else payload)


def call_body(project: int, function: str, body: bytes) -> bytes:
    """The body for `/query` that calls a function with the arguments of the body."""
    try:
        args = decode(body) if body else {}
    except (ValueError, RecursionError):
        return body
    return _body(project, "call", {"function": function, "args": args})


def _body(project: int, operation: str, payload: Object, table: str | None = None) -> bytes:
    fields: Object = {"projectId": project, "operation": operation, "payload": payload}
    return msgspec.json.encode(fields if table is None else {**fields, "tableName": table})


def _payload(parameters: Parameters) -> tuple[Object, list[Json]]:
    payload: Object = {}
    filters: list[Json] = []
    for name, text in parameters:
        if name == "where":
            filters.append(_json(name, text))
        elif name not in _WORDS:
            filters.append(_filter(name, text))
        elif name in payload:
            raise DbifyError(Code.INVALID_REQUEST, f'"{name}" is given twice.')
        else:
            payload[name] = _WORDS[name](name, text)
    return payload, filters


def _filter(name: str, text: str) -> Json:
    """`column=value` or `column.operator=operand`; a column's name may have dots as well."""
    column, dot, operator = name.rpartition(".")
    if not dot or operator not in OPERATORS:
        return {name: {"equals": text}}
    if operator in _LISTS:
        return {column: {operator: _json(name, text) if text.startswith("[") else list(_split(text))}}
    return {column: {operator: _flag(name, text) if operator in _FLAGS else text}}


def _number(name: str, text: str) -> Json:
    if not (text.isascii() and text.isdecimal() and len(text) <= _WHOLE):
        raise DbifyError(Code.INVALID_REQUEST, f'"{name}" must be a whole number.')
    return int(text)


def _text(name: str, text: str) -> Json:
    del name
    return text


def _names(name: str, text: str) -> Json:
    del name
    return text == "true" if text in ("true", "false") else list(_split(text))


def _count(name: str, text: str) -> Json:
    del name
    return text == "true" if text in ("true", "false") else text


def _order(name: str, text: str) -> Json:
    del name
    return [{key.removeprefix("-"): "desc" if key.startswith("-") else "asc"} for key in _split(text)]


def _split(text: str) -> Sequence[str]:
    return [part.strip() for part in text.split(",")] if text else []


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise DbifyError(Code.INVALID_REQUEST, f'"{shown(name)}" must be true or false.')
    return text == "true"


def _json(name: str, text: str) -> Json:
    try:
        return decode(text.encode())
    except (ValueError, RecursionError):
        raise DbifyError(Code.INVALID_REQUEST, f'"{shown(name)}" is not valid JSON.') from None


# How the words of a payload are written in a query string; whatever else stands there is a filter.
_WORDS: Final[Mapping[str, Callable[[str, str], Json]]] = {
    **dict.fromkeys(("select", "distinct"), _names),
    **dict.fromkeys(("limit", "offset"), _number),
    **dict.fromkeys(("after", "before", "ifVersion"), _text),
    **dict.fromkeys(("all", "stringifyNumeric", "explain", "version"), _flag),
    **dict.fromkeys(("include", "onConflict"), _json),
    "orderBy": _order,
    "count": _count,
}


def is_word(name: str) -> bool:
    """Whether a query string's parameter of this name is no filter."""
    return name == "where" or name in _WORDS
