"""The gateway, asked over NATS."""

from collections.abc import Sequence

import msgspec

from libs.common.bus import Bus
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import DatabaseRequest, KeyNames, KeyNamesRequest, SealedDatabase


class Gateway:
    """Knows how each project's database is reached."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> None:
        """Raise while there is no connection to NATS, over which it is asked and everything else comes."""
        if not self._bus.connected:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "There is no connection to NATS.")

    async def database(self, project: ProjectId) -> SealedDatabase:
        """A project's database, sealed.

        Raises:
            DbifyError: PROJECT_NOT_FOUND; SERVICE_UNAVAILABLE or SERVICE_TIMEOUT where the gateway does not answer.
        """
        answer = await self._bus.request("gateway", "database", DatabaseRequest(project))
        return msgspec.json.decode(answer, type=SealedDatabase)

    async def names(self, project: ProjectId, keys: Sequence[str]) -> dict[str, str]:
        """What keys are called.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT where the gateway does not answer.
        """
        answer = await self._bus.request("gateway", "keys", KeyNamesRequest(project, list(keys)))
        return msgspec.json.decode(answer, type=KeyNames).names
