"""Whether a service can do its work: `/livez`, `/readyz` and `/metrics`."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.common.errors import DbifyError
from libs.common.telemetry import redact

_CHECK_TIMEOUT_S = 2.0
_MAX_REASON = 200
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"

Check = Callable[[], Awaitable[None]]


class _Dependency(NamedTuple):
    check: Check
    required: bool


class Health:
    """A service's dependencies and whether each of them answers."""

    def __init__(self) -> None:
        self._dependencies: dict[str, _Dependency] = {}

    def add(self, name: str, check: Check, *, required: bool) -> None:
        """Name a dependency and how to see that it works: `check` raises where it does not.

        Args:
            name: As `/readyz` shows it, such as "postgres".
            check: Raises within 2 s, or counts as down.
            required: Whether the service cannot do its main work without it.
        """
        self._dependencies[name] = _Dependency(check, required)

    async def ready(self) -> tuple[bool, dict[str, str]]:
        """Whether the service can do its main work, and each dependency as "ok" or "down: why"."""
        answers = await asyncio.gather(*(_ask(dependency.check) for dependency in self._dependencies.values()))
        states = dict(zip(self._dependencies, answers, strict=True))
        ready = all(states[name] == "ok" for name, dependency in self._dependencies.items() if dependency.required)
        return ready, states


async def _ask(check: Check) -> str:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return "down: no answer in time"
    except DbifyError as error:
        return f"down: {error.message}"[:_MAX_REASON]
    except Exception as error:  # noqa: BLE001 - whatever a driver raises means that its server cannot be used
        return f"down: {redact(f'{type(error).__name__}: {error}')}"[:_MAX_REASON]
    return "ok"


async def respond(health: Health, path: str) -> tuple[int, str, bytes] | None:
    """The answer for one of the three paths: status, content type, body; None for any other path."""
    if path == "/livez":
        return 200, _JSON, b'{"status":"alive"}'
    if path == "/readyz":
        ready, states = await health.ready()
        body = {"status": "ready" if ready else "unready", "dependencies": states}
        return (200 if ready else 503), _JSON, msgspec.json.encode(body)
    if path == "/metrics":
        return 200, CONTENT_TYPE_LATEST, generate_latest()
    return None


class _Scope(Protocol):
    proto: str
    path: str


class _Exchange(Protocol):
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class _App:
    """The three paths over RSGI (granian's own interface)."""

    def __init__(self, health: Health) -> None:
        self._health = health

    async def __rsgi__(self, scope: _Scope, exchange: _Exchange) -> None:
        answer = await respond(self._health, scope.path)
        status, content_type, body = answer or (404, _TEXT, b"/livez, /readyz and /metrics are here\n")
        exchange.response_bytes(status, [("content-type", content_type), ("cache-control", "no-store")], body)


def quiet_granian() -> Mapping[str, object]:
    """Granian's logging: only errors, through our own handlers (it warns that embedding is experimental)."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {},
        "handlers": {},
        "loggers": {"_granian": {"level": "ERROR", "propagate": True}},
    }


async def serve(health: Health, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer the three paths over HTTP until `stop` is set.

    Raises:
        OSError: If the port is taken.
    """
    _probe(host, port)
    server = Server(
        _App(health),
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        websockets=False,
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
        await serving


def _probe(host: str, port: int) -> None:
    """Fail where the port is taken: granian listens with SO_REUSEPORT and would share it in silence."""
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {host}:{port}, set DBIFY_HEALTH_PORT to another") from error
