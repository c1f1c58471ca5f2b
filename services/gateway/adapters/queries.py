"""Saved queries, held for a moment: every process sees a change within a second."""

import time
from typing import Final, NamedTuple

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from services.gateway.adapters.bounded import Bounded
from services.gateway.core.saved import Definition
from services.gateway.handlers.saved import SavedQueries, SavedQuery

FRESH_FOR_S: Final = 1.0
# How long a query goes on being run while the platform's database is down.
KNOWN_FOR_S: Final = 3600.0
_MAX_QUERIES: Final = 10_000


class _Held(NamedTuple):
    query: SavedQuery
    read_at: float


class Queries:
    """`handlers.run.Queries`."""

    def __init__(self, saved: SavedQueries) -> None:
        self._saved = saved
        self._held: Bounded[tuple[ProjectId, str], _Held] = Bounded(_MAX_QUERIES)

    async def get(self, project: ProjectId, reference: str) -> SavedQuery:
        """The query of this name or id. QUERY_NOT_FOUND, or PLATFORM_UNAVAILABLE where nobody knows."""
        held, now = self._held.get((project, reference)), time.monotonic()
        if held is not None and now - held.read_at < FRESH_FOR_S:
            return held.query
        try:
            query = await self._saved.get(project, reference)
        except DbifyError as error:
            if error.code is Code.PLATFORM_UNAVAILABLE and held is not None and now - held.read_at < KNOWN_FOR_S:
                return held.query
            self._held.pop((project, reference))
            raise
        self._held.put((project, reference), _Held(query, now))
        return query

    async def judged(self, project: ProjectId, query: SavedQuery) -> Definition:
        """Judge a query anew, against the database as it is now. INVALID_QUERY."""
        return await self._saved.judged(project, query.definition.asked(query.name))
