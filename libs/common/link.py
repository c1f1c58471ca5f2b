"""The connection to NATS, kept up for ever: one client a connection, and a new one when it is lost.

nats-py could reconnect by itself, but it gives up for good on any error line from the server, keeps what was published
meanwhile and sends it after the caller was told that it failed, and leaves pulls silent. A fresh client has none of it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from prometheus_client import Counter, Gauge

from libs.common import access
from libs.common.config import ConfigError
from libs.common.errors import Code, DbifyError
from libs.common.telemetry import log

_CONNECT_TIMEOUT_S = 2
_RETRY_S = 0.5
_CLOSE_TIMEOUT_S = 2.0
# Two pings unanswered and the connection counts as lost: 15 s for a server that hangs without closing.
_PING_S = 5
_MAX_PINGS = 2
_REPEAT_S = 30.0

# What nats-py raises for a connection or server that does not do its part; ConnectionError and gaierror are OSErrors.
FAILURES = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)

_logger = logging.getLogger(__name__)
_connected = Gauge("dbify_bus_connected", "1 while connected to NATS")
_connections = Counter("dbify_bus_connections_total", "Connections made to NATS, so reconnects too")
_errors = Counter("dbify_bus_errors_total", "Errors that the NATS client or server reported", ["kind"])


def unavailable(why: str) -> DbifyError:
    """The error of whatever NATS would have been needed for."""
    return DbifyError(Code.SERVICE_UNAVAILABLE, f"The message bus {why}. Try again in a moment.")


class Link:
    """A connection to NATS that is made in the background and made again whenever it is lost.

    Args:
        url: `nats://user:password@host:port`, several separated by commas.
        service: Whose user it is; decides the inbox prefix.

    Raises:
        ConfigError: If the URL has another form.
    """

    def __init__(self, url: str, service: str) -> None:
        self._servers, self._user, self._password = _split(url)
        self._service = service
        self._client: Client | None = None
        self._up = asyncio.Event()
        self._reported = ("", 0.0)

    @property
    def connected(self) -> bool:
        """Whether there is a connection right now."""
        return self._client is not None and self._client.is_connected

    @property
    def client(self) -> Client:
        """The connection's client.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE while there is no connection.
        """
        if self._client is None or not self._client.is_connected:
            raise unavailable("is not connected")
        return self._client

    async def wait(self) -> Client:
        """The client, as soon as there is one."""
        while not self.connected:
            self._up.clear()
            await self._up.wait()
        return self.client

    async def keep(self, established: Callable[[Client], Awaitable[None]]) -> None:
        """Connect, call `established` with the client, wait until it is lost, and so on until cancelled."""
        while True:
            client, lost = Client(), asyncio.Event()
            try:
                await self._connect(client, lost)
                await self._hold(client, lost, established)
            except FAILURES as error:
                self._report(error)
            except Exception:
                # Without this task the process would stay cut off for ever: whatever it was, try again.
                _logger.exception("the connection to NATS failed in an unforeseen way")
            finally:
                self._client = None
                _connected.set(0)
                await _discard(client)
            # Not a secret: replicas should not all come back in the same instant.
            await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311

    async def _connect(self, client: Client, lost: asyncio.Event) -> None:
        async def on_error(error: Exception) -> None:
            self._report(error)

        async def on_closed() -> None:
            lost.set()

        await client.connect(
            self._servers,
            user=self._user,
            password=self._password,
            name=f"dbify-{self._service}",
            inbox_prefix=access.inbox(self._service),
            error_cb=on_error,
            closed_cb=on_closed,
            allow_reconnect=False,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RETRY_S,  # type: ignore[arg-type]  # annotated int, passed to asyncio.sleep
            connect_timeout=_CONNECT_TIMEOUT_S,
            ping_interval=_PING_S,
            max_outstanding_pings=_MAX_PINGS,
        )

    async def _hold(
        self, client: Client, lost: asyncio.Event, established: Callable[[Client], Awaitable[None]]
    ) -> None:
        self._client = client
        await established(client)
        _connected.set(1)
        _connections.inc()
        self._reported = ("", 0.0)
        log(_logger, "connected to NATS")
        self._up.set()
        while _alive(client) and not lost.is_set():
            try:
                # The status changes before the callback, and the callback may never come from a stuck socket.
                await asyncio.wait_for(lost.wait(), 1)
            except TimeoutError:
                continue
        log(_logger, "lost the connection to NATS", level=logging.WARNING)

    def _report(self, error: Exception) -> None:
        """Count an error; log it when it is news or has not been said for a while."""
        _errors.labels(type(error).__name__).inc()
        text, now = f"{type(error).__name__}: {error}", asyncio.get_running_loop().time()
        said, when = self._reported
        if text != said or now - when >= _REPEAT_S:
            self._reported = (text, now)
            log(_logger, "NATS reports an error", level=logging.WARNING, error=text)


async def settle(client: Client) -> None:
    """Return once the server has taken in every subscription made so far.

    nats-py's flush writes its ping past the queue that subscriptions wait in, so only a second one comes after them.
    """
    await client.flush()
    await client.flush()


def _alive(client: Client) -> bool:
    """Whether the client is connected and hears: after an error of its own it may stop reading and not say so."""
    reading = client._reading_task  # noqa: SLF001 - nothing public tells
    return client.is_connected and reading is not None and not reading.done()


async def _discard(client: Client) -> None:
    """Close a client for good, in bounded time even where its socket is stuck."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await client.close()
    except FAILURES as error:
        log(_logger, "a lost NATS connection did not close cleanly", error=type(error).__name__)


def _split(url: str) -> tuple[list[str], str | None, str | None]:
    """The servers without credentials, the user and the password, unescaped (nats-py takes them as they stand)."""
    parts = [urlsplit(one.strip() if "://" in one else f"nats://{one.strip()}") for one in url.split(",")]
    if any(part.scheme not in ("nats", "tls") or not part.hostname for part in parts):
        raise ConfigError("DBIFY_NATS_URL is malformed: a NATS URL looks like nats://user:password@host:4222")
    hosts = [f"[{part.hostname}]" if ":" in (part.hostname or "") else part.hostname for part in parts]
    servers = [f"{part.scheme}://{host}:{part.port or 4222}" for part, host in zip(parts, hosts, strict=True)]
    first = parts[0]
    return servers, _unescaped(first.username), _unescaped(first.password)


def _unescaped(text: str | None) -> str | None:
    return None if text is None else unquote(text)
