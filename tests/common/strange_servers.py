"""Servers of a stranger's choosing: each is a function of one connection, served on a free port of this machine."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from libs.common.dsn import Dsn, Tls

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SSL_REQUEST = struct.pack("!ll", 8, 80877103)
AUTHENTICATED = b"R" + struct.pack("!ll", 8, 0)
READY = b"Z" + struct.pack("!l", 5) + b"I"


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[int]:
    """The port at which every connection is treated like this."""
    connections: set[asyncio.Task[None]] = set()

    async def treat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await behave(reader, writer)
        finally:
            connections.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(treat, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


def login(port: int, tls: Tls = "disable", host: str = "db.example") -> Dsn:
    """How a user would log in there."""
    return Dsn(host, port, "user", "word", "app", tls)


def message(kind: bytes, *texts: str, end: bytes = b"") -> bytes:
    """A message of the protocol: texts that end in zeros, and what follows them."""
    body = b"".join(text.encode() + b"\0" for text in texts) + end
    return kind + struct.pack("!l", len(body) + 4) + body


def failure(sqlstate: str, text: str = "no") -> bytes:
    """An ErrorResponse."""
    return message(b"E", "SFATAL", f"C{sqlstate}", f"M{text}", end=b"\0")


async def startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The startup message's parameters; a request for TLS before it is refused."""
    while True:
        (length,) = struct.unpack("!l", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if body != SSL_REQUEST[4:]:
            return body
        writer.write(b"N")


def saying(*parts: bytes) -> Behaviour:
    """Answers whatever comes first with this, and waits for the end."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        for part in parts:
            writer.write(part)
        await writer.drain()
        await reader.read()

    return behave


def greeting(*parts: bytes) -> Behaviour:
    """Reads the startup message and answers it with this, then waits for the end."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await startup(reader, writer)
        for part in parts:
            writer.write(part)
        await writer.drain()
        await reader.read()

    return behave


def endless(part: bytes, *, first: bytes = b"") -> Behaviour:
    """Sends this for ever once the startup message is there."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await startup(reader, writer)
        writer.write(first)
        while True:
            writer.write(part)
            await writer.drain()

    return behave


def front(port: int, *, refuse: Callable[[bytes], bytes | None] = lambda _: None, tls: Path | None = None) -> Behaviour:
    """Stands before the real server at `port`.

    Args:
        port: The real server's.
        refuse: Given the startup parameters, what to answer instead of letting them through.
        tls: A certificate with its key: offers TLS, which the real server does not.
    """

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!l", await reader.readexactly(4))
        body = await reader.readexactly(length - 4)
        if body == SSL_REQUEST[4:]:
            if tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(tls)
                writer.write(b"S")
                await writer.start_tls(context)
            else:
                writer.write(b"N")
            await behave(reader, writer)
            return
        answer = refuse(body)
        if answer is not None:
            writer.write(answer)
            await writer.drain()
            return
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        behind_writer.write(struct.pack("!l", length) + body)
        pumps = [asyncio.create_task(_pump(reader, behind_writer)), asyncio.create_task(_pump(behind_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            behind_writer.transport.abort()

    return behave


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
