"""A request's bytes as what is asked, and by whom."""

from typing import Final, Literal, get_args

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.json import Json, Object, decode, described, shown
from services.gateway.core.payload import Operation, only

# A larger body is not read: the server in front stops at this as well.
MAX_BODY_BYTES: Final = 4 * 1024 * 1024

# Besides those on a table: they name none.
Tableless = Literal["batch", "run", "call"]
AnyOperation = Operation | Tableless

_TABLELESS: Final[tuple[Tableless, ...]] = get_args(Tableless)
_OPERATIONS: Final[tuple[AnyOperation, ...]] = (*get_args(Operation), *_TABLELESS)
_FIELDS: Final = ("projectId", "apiKey", "operation", "tableName", "payload")
# Larger than any project's number, which is a bigint.
_MAX_PROJECT_DIGITS: Final = 19
_BEARER: Final = "bearer "


class Credentials(msgspec.Struct, frozen=True):
    """The key, and the project it is said to be for."""

    api_key: str
    project: int | None


class Request(msgspec.Struct, frozen=True):
    """What is asked of which table; `table` is "" where the operation is on none."""

    operation: AnyOperation
    table: str
    payload: Object


def read(body: bytes) -> Object:
    """The body's fields.

    Raises:
        DbifyError: REQUEST_TOO_LARGE, INVALID_JSON, INVALID_REQUEST where it is no object, TOO_COMPLEX.
    """
    if len(body) > MAX_BODY_BYTES:
        raise DbifyError(
            Code.REQUEST_TOO_LARGE,
            f"The body has {len(body):,} bytes, the limit is {MAX_BODY_BYTES:,}: send the rows in several requests.",
            {"sizeBytes": len(body), "limitBytes": MAX_BODY_BYTES},
        )
    try:
        fields = decode(body)
    except RecursionError:
        raise DbifyError(Code.TOO_COMPLEX, "The body nests too deep: flatten it.") from None
    except ValueError as error:
        raise DbifyError(Code.INVALID_JSON, f"The body is not valid JSON: {_reason(body, error)}.") from None
    if not isinstance(fields, dict):
        raise DbifyError(
            Code.INVALID_REQUEST, f"The body must be an object with {', '.join(_FIELDS)}, not {described(fields)}."
        )
    return fields


def _reason(body: bytes, error: ValueError) -> str:
    if not body.strip():
        return 'it is empty; send {"projectId", "apiKey", "operation", "tableName", "payload"}'
    if body.startswith(b"\xef\xbb\xbf"):
        return "it starts with a byte order mark; send plain UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(error).rstrip(".")


def credentials(fields: Object, authorization: str | None) -> Credentials:
    """The key and project of a request.

    The body's `apiKey` goes before the header's, which a proxy on the way may have set for a purpose of its own.

    Raises:
        DbifyError: INVALID_API_KEY where there is no key; INVALID_REQUEST where `projectId` is missing or malformed.
    """
    sent = bearer(authorization)
    api_key = fields.get("apiKey", sent)
    if not isinstance(api_key, str) or not api_key:
        raise DbifyError(
            Code.INVALID_API_KEY, 'No API key: send it as "apiKey" in the body or as "Authorization: Bearer KEY".'
        )
    if "projectId" in fields:
        return Credentials(api_key, _project(fields["projectId"]))
    if api_key != sent:
        raise DbifyError(Code.INVALID_REQUEST, 'Send "projectId" along with "apiKey".')
    return Credentials(api_key, None)


def bearer(authorization: str | None) -> str | None:
    """The credential of an Authorization header, if it has one."""
    if authorization and authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None


def _project(value: Json) -> int:
    if type(value) is int:
        number = value
    elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_PROJECT_DIGITS:
        number = int(value)
    else:
        raise DbifyError(Code.INVALID_REQUEST, f'"projectId" must be a whole number, not {_found(value)}.')
    if not 0 < number < 1 << 63:
        raise DbifyError(Code.INVALID_API_KEY, "The API key does not belong to this project.")
    return number


def _found(value: Json) -> str:
    return "a string of other characters" if isinstance(value, str) else described(value)


def request(fields: Object) -> Request:
    """What the fields ask.

    Raises:
        DbifyError: UNKNOWN_FIELD, UNKNOWN_OPERATION, INVALID_REQUEST.
    """
    only(fields, _FIELDS, "A request")
    operation = _operation(fields.get("operation"))
    table, payload = fields.get("tableName", "" if operation in _TABLELESS else None), fields.get("payload", {})
    if not isinstance(table, str):
        raise DbifyError(Code.INVALID_REQUEST, f'"tableName" must be a string, not {_missing(fields, "tableName")}.')
    if not isinstance(payload, dict):
        raise DbifyError(Code.INVALID_REQUEST, f'"payload" must be an object, not {described(payload)}.')
    return Request(operation, table, payload)


def _operation(value: Json) -> AnyOperation:
    for operation in _OPERATIONS:
        if operation == value:
            return operation
    named = f'"{shown(value)}"' if isinstance(value, str) else described(value)
    raise DbifyError(
        Code.UNKNOWN_OPERATION,
        f'"operation" is {named}: it must be one of {", ".join(_OPERATIONS)}.',
        {"operations": list(map(str, _OPERATIONS))},
    )


def _missing(fields: Object, name: str) -> str:
    return described(fields[name]) if name in fields else "missing"
