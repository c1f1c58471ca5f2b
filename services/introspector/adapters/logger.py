"""The logger, asked over NATS."""

from collections.abc import Sequence

import msgspec

from libs.common.bus import Bus
from libs.common.ids import ProjectId
from libs.common.logs import Caller, Callers, CallersQuestion
from services.introspector.core.telling import Question


class Logger:
    """Knows who called."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def callers(self, project: ProjectId, question: Question) -> Sequence[Caller]:
        """The keys that used something of late.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT where the logger does not answer.
        """
        asked = CallersQuestion(project, list(question.tables), list(question.columns))
        return msgspec.json.decode(await self._bus.request("logger", "callers", asked), type=Callers).data
