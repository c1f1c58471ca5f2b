"""RSGI's types: granian's own interface (docs/spec/RSGI.md in github.com/emmett-framework/granian).

One call a request, headers as text, and an answer in one call: that costs less than ASGI's messages.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from granian._granian import RSGIProtocolClosed as ProtocolClosed  # its public name is not exported to type checkers

__all__ = ["Exchange", "Headers", "Incoming", "Names", "ProtocolClosed", "Transport"]

Headers = list[tuple[str, str]]


class Names(Protocol):
    """A request's headers."""

    def get(self, key: str) -> str | None:
        """The first of that name."""
        ...

    def items(self) -> list[tuple[str, str]]:
        """All of them."""
        ...

    def __contains__(self, key: str) -> bool: ...


class Incoming(Protocol):
    """A request without its body."""

    proto: str
    http_version: str
    method: str
    scheme: str
    path: str
    query_string: str
    authority: str | None
    client: str
    server: str

    @property
    def headers(self) -> Names:
        """Its headers."""
        ...


class Transport(Protocol):
    """An answer in pieces. It has no back-pressure: what is sent waits in memory."""

    async def send_bytes(self, data: bytes) -> None:
        """Send a piece."""
        ...


class Exchange(Protocol):
    """A request's body, and the way to answer."""

    async def __call__(self) -> bytes:
        """The whole body."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def client_disconnect(self) -> None:
        """Return when the client has left."""
        ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer."""
        ...

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with what the file holds, read as the client takes it."""
        ...

    def response_stream(self, status: int, headers: Headers) -> Transport:
        """Answer in pieces."""
        ...
