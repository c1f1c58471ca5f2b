"""When which project is looked at, and who listens to it, in the schema `introspector` of the platform database."""

from collections.abc import Sequence
from typing import Final

import asyncpg

from libs.common.ids import ProjectId
from libs.common.postgres import guarded
from libs.common.rpc import TOLD_EVERY_S
from services.introspector.handlers.rounds import Due

# A project is in use until three messages in a row have not named it.
ACTIVE_S: Final = 3 * TOLD_EVERY_S

# The row is left alone where another replica has noted the same already; the first note after a pause makes it due.
_ACTIVE: Final = """
    INSERT INTO schedule (project, active_until, next_look_at, interval_s, version)
    SELECT DISTINCT project, now() + $2 * interval '1 second', now(), 0, 0 FROM unnest($1::bigint[]) AS told (project)
    ON CONFLICT (project) DO UPDATE SET
        active_until = excluded.active_until,
        next_look_at = CASE WHEN schedule.active_until < now() THEN least(schedule.next_look_at, now())
                            ELSE schedule.next_look_at END
    WHERE schedule.active_until < excluded.active_until - $3 * interval '1 second'
    RETURNING next_look_at <= now()
"""
_TAKE: Final = """
    UPDATE schedule SET next_look_at = now() + $2 * interval '1 second'
    WHERE project IN (
        SELECT project FROM schedule WHERE next_look_at <= now() AND active_until > now()
        ORDER BY next_look_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )
    RETURNING project, interval_s, version,
        EXISTS (SELECT FROM watched WHERE watched.project = schedule.project AND held_until > now()) AS watched
"""
_SETTLE: Final = """
    UPDATE schedule SET next_look_at = now() + $2 * interval '1 second', interval_s = $2, version = $3
    WHERE project = $1
"""
_FORGET: Final = "DELETE FROM schedule WHERE project = $1"
_FORGET_IDLE: Final = "DELETE FROM schedule WHERE active_until < now() - interval '1 day'"

_WATCH: Final = "INSERT INTO watched (project) VALUES ($1) ON CONFLICT DO NOTHING"
_UNWATCH: Final = "DELETE FROM watched WHERE project = $1"
_IS_WATCHED: Final = "SELECT EXISTS (SELECT FROM watched WHERE project = $1)"
_HOLD: Final = """
    UPDATE watched SET holder = $1, held_until = now() + $3 * interval '1 second'
    WHERE project IN (
        SELECT project FROM watched WHERE holder = $1 OR held_until < now()
        ORDER BY holder = $1 DESC, created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    RETURNING project
"""
_RELEASE: Final = "UPDATE watched SET held_until = '-infinity' WHERE holder = $1"


class Schedule:
    """All replicas' schedule."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def active(self, projects: Sequence[ProjectId]) -> bool:
        """Note that projects are in use; whether any is due now."""
        with guarded():
            rows = await self._pool.fetch(_ACTIVE, projects, ACTIVE_S, TOLD_EVERY_S / 2)
        return any(row[0] for row in rows)

    async def take(self, limit: int, lease_s: float) -> Sequence[Due]:
        """Projects that are due and in use; nobody else takes them while the lease lasts."""
        with guarded():
            rows = await self._pool.fetch(_TAKE, limit, lease_s)
        return [Due(*row) for row in rows]

    async def settle(self, project: ProjectId, interval_s: float, version: int) -> None:
        """Have it looked at again after so many seconds."""
        with guarded():
            await self._pool.execute(_SETTLE, project, interval_s, version)

    async def forget(self, project: ProjectId) -> None:
        """Look at it no more, nor at what nobody has used for a day."""
        with guarded():
            await self._pool.execute(_FORGET, project)
            await self._pool.execute(_FORGET_IDLE)


class Watched:
    """Projects whose database tells of changes by itself, each listened to by one replica.

    Args:
        pool: The platform database.
        holder: This replica.
    """

    def __init__(self, pool: asyncpg.Pool, holder: str) -> None:
        self._pool = pool
        self._holder = holder

    async def add(self, project: ProjectId) -> None:
        """Have somebody listen to it."""
        with guarded():
            await self._pool.execute(_WATCH, project)

    async def remove(self, project: ProjectId) -> None:
        """Have nobody listen to it."""
        with guarded():
            await self._pool.execute(_UNWATCH, project)

    async def has(self, project: ProjectId) -> bool:
        """Whether somebody is to listen to it."""
        with guarded():
            return bool(await self._pool.fetchval(_IS_WATCHED, project))

    async def hold(self, limit: int, lease_s: float) -> frozenset[ProjectId]:
        """Those that this replica listens to, up to `limit`, and nobody else while the lease lasts."""
        with guarded():
            rows = await self._pool.fetch(_HOLD, self._holder, limit, lease_s)
        return frozenset(ProjectId(row["project"]) for row in rows)

    async def release(self) -> None:
        """Leave them to others."""
        with guarded():
            await self._pool.execute(_RELEASE, self._holder)
