"""What a project's owner sees of its requests: asked of the logger, passed on as it answers."""

from typing import Protocol

import msgspec

from libs.common.logs import AnalyticsFilter, LogFilter


class Bus(Protocol):
    """Request and reply between services."""

    async def request(self, service: str, method: str, body: msgspec.Struct, *, timeout_s: float = 5.0) -> bytes:
        """What the other service answers, as JSON."""
        ...


class Logs:
    """Reads the request log."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def entries(self, wanted: LogFilter) -> bytes:
        """A page of entries as JSON. SERVICE_UNAVAILABLE while the logger is down."""
        return await self._bus.request("logger", "logs", wanted, timeout_s=10)

    async def analytics(self, wanted: AnalyticsFilter) -> bytes:
        """The analytics as JSON. SERVICE_UNAVAILABLE while the logger is down."""
        return await self._bus.request("logger", "analytics", wanted, timeout_s=20)
