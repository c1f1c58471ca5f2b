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


class Body:
    """A body as it arrives.

    Args:
        limit: How large it may be.
        declared: How large it says it is, 0 where it does not say.
    """

    def __init__(self, limit: int, declared: int) -> None:
        self._limit = limit
        self._keep = 0 if declared > limit else limit
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> bool:
        """Take another piece; whether more is to be read."""
        self._size += len(part)
        if self._size <= self._keep:
            self._parts.append(part)
        else:
            self._parts.clear()
        return self._size < _DRAIN_LIMIT

    def whole(self) -> bytes:
        """The body. REQUEST_TOO_LARGE."""
        if self._size > self._keep:
            text = f"The body is larger than the limit of {self._limit} bytes."
            raise DbifyError(Code.REQUEST_TOO_LARGE, text, {"limit": self._limit})
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def late() -> DbifyError:
    """What is answered to a body that does not arrive."""
    return DbifyError(Code.INVALID_REQUEST, f"The body did not arrive within {TIMEOUT_S:g} s.")


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises:
        DbifyError: REQUEST_TOO_LARGE, or INVALID_REQUEST where it does not arrive in time.
        GoneError: The client left.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _read(receive, Body(limit, _declared(scope)))
    except TimeoutError as error:
        raise late() from error


async def _read(receive: Receive, body: Body) -> bytes:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        more = body.add(message.get("body", b"")) and message.get("more_body", False)
    return body.whole()


def _declared(scope: Scope) -> int:
    value = header(scope, b"content-length")
    return int(value) if value is not None and value.isdigit() else 0
