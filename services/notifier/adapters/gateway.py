"""The gateway, asked over NATS."""

import msgspec

from libs.common.bus import Bus
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import Owner, OwnerRequest


class Gateway:
    """Knows who owns a project."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> None:
        """Raise while there is no connection to NATS, over which it is asked and events come."""
        if not self._bus.connected:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "There is no connection to NATS.")

    async def owner(self, project: ProjectId) -> Owner | None:
        """The owner, or None where there is no such project."""
        try:
            answer = await self._bus.request("gateway", "owner", OwnerRequest(project))
        except DbifyError as error:
            if error.code is Code.PROJECT_NOT_FOUND:
                return None
            raise
        return msgspec.json.decode(answer, type=Owner)
