"""Reading a request's body: bounded in size and time, however it arrives."""

import asyncio
from typing import Final

from libs.common.errors import Code, DbifyError
from services.gateway.adapters.http.asgi import Receive, Scope, header

QUERY_LIMIT: Final = 10 * 1024 * 1024
MANAGEMENT_LIMIT: Final = 1024 * 1024
TIMEOUT_S: Final = 30.0
# What is too large is still read to here, so that the client gets to see the answer instead of a broken connection.
_DRAIN_LIMIT: Final = 64 * 1024 * 1024


class GoneError(Exception):
    """The client left before its request was whole."""


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        DbifyError: REQUEST_TOO_LARGE, or INVALID_REQUEST where it does not arrive in time.
        GoneError: The client left.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _read(receive, 0 if _declared(scope) > limit else limit, limit)
    except TimeoutError as error:
        message = f"The body did not arrive within {TIMEOUT_S:g} s."
        raise DbifyError(Code.INVALID_REQUEST, message) from error


async def _read(receive: Receive, keep: int, limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise GoneError
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False) and len(body) <= keep:
        return body
    parts, size = [body], len(body)
    while message.get("more_body", False) and size < _DRAIN_LIMIT:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= keep:
            parts.append(part)
    if size > keep:
        text = f"The body is larger than the limit of {limit} bytes."
        raise DbifyError(Code.REQUEST_TOO_LARGE, text, {"limit": limit})
    return b"".join(parts)


def _declared(scope: Scope) -> int:
    value = header(scope, b"content-length")
    return int(value) if value is not None and value.isdigit() else 0
