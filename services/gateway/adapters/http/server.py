"""The HTTP server in this process."""

import asyncio
from contextlib import suppress
from typing import Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from libs.common.health import quiet_granian
from services.gateway.adapters.http.entry import Entry

# How long requests under way may take after the server stops listening: longer than a statement's usual ceiling.
GRACE_S: Final = 15.0
_BACKLOG = 1024
_BACKPRESSURE = 4096


async def serve(entry: Entry, host: str, port: int, stop: asyncio.Event, served: asyncio.Event) -> None:
    """Answer HTTP until `stop`, then finish what is under way and set `served`.

    Several processes may serve the same port: the kernel spreads connections over them (SO_REUSEPORT).

    Raises:
        OSError: If the port is taken by another program.
    """
    server = Server(
        entry,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=_BACKLOG,
        backpressure=_BACKPRESSURE,
        log_dictconfig=dict(quiet_granian()),
        log_level=LogLevels.error,
    )
    serving = asyncio.ensure_future(server.serve())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        with suppress(asyncio.CancelledError):
            await stopping
        server.stop()  # type: ignore[no-untyped-call]  # granian leaves it unannotated
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await serving
        served.set()
