"""Whom changes concern: asked of those who know, for as long as an event may wait for it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from libs.common.changes import Impact, KeyImpact
from libs.common.errors import DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import Caller
from libs.common.telemetry import log
from services.introspector.core.telling import Question

DEADLINE_S: Final = 3.0
# As many as an event tells.
_MAX_KEYS: Final = 100

_logger = logging.getLogger(__name__)


class Callers(Protocol):
    """Knows who called."""

    async def callers(self, project: ProjectId, question: Question) -> Sequence[Caller]:
        """The keys that used something of late."""


class Keys(Protocol):
    """Knows keys."""

    async def names(self, project: ProjectId, keys: Sequence[str]) -> dict[str, str]:
        """What keys are called."""


class Impacts:
    """Asks; what is not answered in time is left out, and the impact says so."""

    def __init__(self, callers: Callers, keys: Keys) -> None:
        self._callers = callers
        self._keys = keys

    async def of(self, project: ProjectId, question: Question) -> Impact:
        """Whom changes of these tables and columns concern."""
        if not (question.tables or question.columns):
            return Impact()
        found: Sequence[Caller] = ()
        names: dict[str, str] = {}
        complete = False
        try:
            async with asyncio.timeout(DEADLINE_S):
                found = await self._callers.callers(project, question)
                names = await self._keys.names(project, [caller.key_id for caller in found]) if found else {}
            complete = True
        except (DbifyError, TimeoutError) as error:
            log(_logger, "nobody said whom a change concerns", project=project, reason=type(error).__name__)
        keys = [
            KeyImpact(it.key_id, names.get(it.key_id, ""), it.requests, it.named, it.last_used)
            for it in found[:_MAX_KEYS]
            if it.key_id
        ]
        return Impact(complete=complete, keys=tuple(keys))
