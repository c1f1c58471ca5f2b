"""The HTTP server in this process."""

import asyncio
from contextlib import suppress
from typing import Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from libs.common.health import quiet_granian
from services.gateway.adapters.http.application import Application
from services.gateway.adapters.http.asgi import App
from services.gateway.adapters.http.bridge import lifespan
from services.gateway.adapters.http.entry import Query

# How long requests under way may take after the server stops listening: longer than a statement's usual ceiling.
GRACE_S: Final = 15.0
_BACKLOG = 1024
_BACKPRESSURE = 4096


async def serve(query: Query, others: App, host: str, port: int, stop: asyncio.Event, served: asyncio.Event) -> None:
    """Answer HTTP until `stop`, then finish what is under way and set `served`.

    Several processes may serve the same port: the kernel spreads connections over them (SO_REUSEPORT).

    Args:
        query: Answers `POST /query`.
        others: Answers everything else.
        host: Where to listen.
        port: Where to listen.
        stop: Set from outside.
        served: Set here.

    Raises:
        OSError: If the port is taken by another program.
    """
    async with lifespan(others):
        await _serve(Application(query, others), host, port, stop)
    served.set()


async def _serve(application: Application, host: str, port: int, stop: asyncio.Event) -> None:
    server = Server(
        application,
        address=host,
        port=port,
        interface=Interfaces.RSGI,
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
