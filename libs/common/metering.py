"""What a server of a stranger's choosing may send: so much, in messages that make sense, and no costly demands."""

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

from asyncpg.protocol import Protocol

# A server greets with about 1 KB; a pooler, or one with a login trigger that chats, with a few more.
LOGIN_BYTES = 128 * 1024
# PostgreSQL's default is 4,096; 100,000 rounds block the loop for some 40 ms.
MAX_SCRAM_ROUNDS = 100_000

_HEADER_BYTES = 5
_AUTHENTICATION = ord("R")
_READY = ord("Z")
# Ok, clear text, MD5, SASL, SASL continue and SASL final: no Kerberos, which would use credentials of this machine.
_WAYS_IN = frozenset({0, 3, 5, 10, 11, 12})
_SASL_CONTINUE = 11
_ROUNDS = re.compile(rb",i=([0-9]+)")


class NotPostgresError(ConnectionError):
    """The server sent more than is allowed, or what no PostgreSQL server would send."""


class Meter(asyncio.Protocol):
    """Stands between a transport and the driver's protocol, and drops the connection when the server oversteps.

    Until the login is over it reads message by message, and only whole ones go on to the driver. Afterwards it counts.

    Attributes:
        error: Why the connection was dropped.
        answer_to_ssl: What answered the request for TLS, if there was one: `S`, `N` or `E`, or no such server.
    """

    def __init__(self, answer_to_ssl: bytes = b"") -> None:
        self.error: NotPostgresError | None = None
        self.answer_to_ssl = answer_to_ssl
        self._left = LOGIN_BYTES
        self._login = bytearray()
        self._transport: asyncio.Transport | None = None
        self._protocol = asyncio.Protocol()
        self._receive: Callable[[bytes], None] = _discard

    def attach(self, protocol: asyncio.Protocol, *, login: bool, transport: asyncio.Transport | None = None) -> None:
        """Pass on to this protocol what comes.

        Args:
            protocol: The driver's.
            login: It logs in; otherwise it asks for TLS, or cancels a statement.
            transport: Where it comes from, if `connection_made` is not to tell.
        """
        self._protocol = protocol
        self._transport = transport
        self._receive = self._logging_in if login else self._other

    def allow(self, size_bytes: int) -> None:
        """Let this much arrive from now on."""
        self._left = size_bytes

    def data_received(self, data: bytes) -> None:
        """Count, and pass on what the login or the statement may see."""
        self._left -= len(data)
        if self._left < 0:
            self._drop("the server sent more than it may")
        else:
            self._receive(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to be able to drop it."""
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the driver why."""
        self._protocol.connection_lost(self.error or exc)

    def eof_received(self) -> bool | None:
        """The server is done: so is the connection."""
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._protocol.resume_writing()

    def _other(self, data: bytes) -> None:
        if not self.answer_to_ssl:
            # Two bytes tell an answer from a greeting that begins with the same letter; an error is longer than one.
            self.answer_to_ssl = b"E" if data.startswith(b"E") else data[:2]
        self._protocol.data_received(data)

    def _logging_in(self, data: bytes) -> None:
        self._login += data
        while len(self._login) >= _HEADER_BYTES:
            kind, length = self._login[0], int.from_bytes(self._login[1:_HEADER_BYTES])
            if not _HEADER_BYTES - 1 <= length <= LOGIN_BYTES:
                self._drop("a message of a size that no login has")
                return
            if len(self._login) <= length:
                return
            message = bytes(self._login[: length + 1])
            del self._login[: length + 1]
            if kind == _AUTHENTICATION and not _reasonable(message):
                self._drop("a demand that no PostgreSQL server makes")
                return
            self._protocol.data_received(message)
            if kind == _READY:
                self._logged_in()
                return

    def _logged_in(self) -> None:
        self._receive = self._protocol.data_received
        if self._login:
            self._receive(bytes(self._login))
            self._login.clear()

    def _drop(self, reason: str) -> None:
        self.error = self.error or NotPostgresError(reason)
        self._receive = _discard
        if self._transport is not None:
            self._transport.abort()


class Dialler:
    """The running loop, but for what one connection needs: the host's name for TLS, and a meter in between.

    The driver also opens its connections for cancelling a statement through it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self._name = name
        # A login has two at most; later ones belong to requests to cancel, which the driver closes.
        self._transports: deque[asyncio.BaseTransport] = deque(maxlen=2)
        self.meter = Meter()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._loop, name)
        setattr(self, name, value)
        return value

    # `asyncio.current_task(loop)` looks its argument up in a dictionary of loops.
    def __hash__(self) -> int:
        return hash(self._loop)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._loop

    def abort(self) -> None:
        """Drop whatever is open, without a word to the server."""
        for transport in self._transports:
            cast("asyncio.Transport", transport).abort()

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.BaseTransport, asyncio.Protocol]:
        """Dial, and stand between the transport and the driver's protocol."""
        protocol = factory()
        meter = self.meter = Meter()
        meter.attach(protocol, login=isinstance(protocol, Protocol))
        transport, _ = await self._loop.create_connection(lambda: meter, host, port)
        self._transports.append(transport)
        return transport, protocol

    async def start_tls(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        server_hostname: str,  # noqa: ARG002 - the driver passes the address that it dialled
    ) -> "_Metered":
        """Encrypt, under the host's name."""
        answer = self.meter.answer_to_ssl
        secured = await self._loop.start_tls(transport, protocol, context, server_hostname=self._name)
        if secured is None:
            raise ConnectionResetError("the connection closed during the TLS handshake")
        self._transports.append(secured)
        self.meter = Meter(answer)
        return _Metered(secured, self.meter)


class _Metered:
    """A transport that puts the meter before the protocol it is given."""

    def __init__(self, transport: asyncio.Transport, meter: Meter) -> None:
        self._transport = transport
        self._meter = meter
        self.write = transport.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def set_protocol(self, protocol: asyncio.Protocol) -> None:
        """From now on the protocol gets what the meter lets through."""
        self._meter.attach(protocol, login=isinstance(protocol, Protocol), transport=self._transport)
        self._transport.set_protocol(self._meter)


def _discard(_data: bytes) -> None:
    """What still arrives on a dropped connection."""


def _reasonable(message: bytes) -> bool:
    """Whether an authentication message asks for what may be given, at a price that may be paid."""
    way = int.from_bytes(message[5:9]) if len(message) >= 9 else -1  # noqa: PLR2004 - header and status
    if way == _SASL_CONTINUE:
        rounds = _ROUNDS.search(message)
        return rounds is not None and len(rounds[1]) <= 7 and int(rounds[1]) <= MAX_SCRAM_ROUNDS  # noqa: PLR2004
    return way in _WAYS_IN
