"""ASGI applications behind RSGI, granian's own interface: bodies and answers are passed on piece by piece."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

from services.gateway.adapters.http.asgi import App, Message, Scope
from services.gateway.adapters.http.rsgi import Exchange, Headers, Incoming, ProtocolClosed, Transport

_ASGI: Final = {"version": "3.0", "spec_version": "2.4"}
_GONE: Final[Message] = {"type": "http.disconnect"}


async def bridge(app: App, scope: Incoming, exchange: Exchange) -> None:
    """Let an ASGI application answer one request.

    Raises:
        RuntimeError: If it returns without an answer.
    """
    passing = _Passing(exchange, scope.headers.get("content-length"))
    await app(_scope(scope), passing.receive, passing.send)
    if not passing.finished.is_set():
        message = "The application answered nothing, or not to the end."
        raise RuntimeError(message)


class _Passing:
    """One request on its way in, and its answer on its way out."""

    def __init__(self, exchange: Exchange, declared: str | None) -> None:
        self.finished = asyncio.Event()
        self._missing = int(declared) if declared is not None and declared.isdigit() else 0
        self._exchange = exchange
        self._body: AsyncIterator[bytes] | None = None
        self._read = False
        self._status = 0
        self._headers: Headers = []
        self._transport: Transport | None = None

    async def receive(self) -> Message:
        """The next piece of the body; once that is whole, word that the client left or has its answer."""
        if self._read:
            await self._until_over()
            return _GONE
        try:
            if self._body is None:
                self._body = aiter(self._exchange)
            piece = await anext(self._body)
        except StopAsyncIteration:
            self._read = True
            # A body that breaks off ends like one that is whole.
            return _GONE if self._missing > 0 else {"type": "http.request", "body": b"", "more_body": False}
        except ProtocolClosed:
            self._read = True
            return _GONE
        self._missing -= len(piece)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(self, message: Message) -> None:
        """Answer, at once where the answer comes in one piece."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = [
                (name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())
            ]
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._transport is None and not more:
            self._exchange.response_bytes(self._status, self._headers, body)
        else:
            await self._stream(body)
        if not more:
            # The server ends the answer when nobody holds its transport any more.
            self._transport = None
            self.finished.set()

    async def _stream(self, body: bytes) -> None:
        if self._transport is None:
            self._transport = self._exchange.response_stream(self._status, self._headers)
        if body:
            try:
                await self._transport.send_bytes(body)
            except ProtocolClosed as error:
                raise OSError(str(error)) from None

    async def _until_over(self) -> None:
        left = asyncio.ensure_future(self._exchange.client_disconnect())
        over = asyncio.ensure_future(self.finished.wait())
        try:
            await asyncio.wait((left, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            over.cancel()


def _scope(scope: Incoming) -> Scope:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in scope.headers.items()]
    if scope.authority and "host" not in scope.headers:
        headers.append((b"host", scope.authority.encode("latin-1")))
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": quote(scope.path, errors="surrogatepass").encode(),
        "query_string": scope.query_string.encode("latin-1", "replace"),
        "root_path": "",
        "headers": headers,
        "client": _address(scope.client),
        "server": _address(scope.server),
        "state": {},
        "extensions": {},
    }


def _address(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdigit() else None


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Between an application's start and its end, as ASGI has it; for one that knows nothing of it, nothing.

    Raises:
        RuntimeError: If it does not start.
    """
    told: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    scope: dict[str, Any] = {"type": "lifespan", "asgi": _ASGI, "state": {}}
    running = asyncio.ensure_future(app(scope, told.get, said.put))
    try:
        await told.put({"type": "lifespan.startup"})
        await _heard(said, running)
        yield
        await told.put({"type": "lifespan.shutdown"})
        await _heard(said, running)
        await running
    finally:
        running.cancel()


async def _heard(said: "asyncio.Queue[Message]", running: "asyncio.Future[None]") -> None:
    """Wait for the application's word, or its end."""
    word = asyncio.ensure_future(said.get())
    both: list[asyncio.Future[Any]] = [word, running]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    if not word.done():
        word.cancel()
        running.result()
    elif word.result()["type"].endswith(".failed"):
        raise RuntimeError(word.result().get("message", "the application does not start or stop"))
