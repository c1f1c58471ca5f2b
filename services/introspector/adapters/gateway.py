"""The gateway, asked over NATS."""

import msgspec

from libs.common.bus import Bus
from libs.common.ids import ProjectId
from libs.common.rpc import DatabaseRequest, SealedDatabase


class Gateway:
    """Knows how each project's database is reached."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def database(self, project: ProjectId) -> SealedDatabase:
        """A project's database, sealed.

        Raises:
            DbifyError: PROJECT_NOT_FOUND; SERVICE_UNAVAILABLE or SERVICE_TIMEOUT where the gateway does not answer.
        """
        answer = await self._bus.request("gateway", "database", DatabaseRequest(project))
        return msgspec.json.decode(answer, type=SealedDatabase)
