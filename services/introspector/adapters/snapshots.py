"""Snapshots and the events about them, in the schema `introspector` of the platform database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from libs.common import outbox
from libs.common.ids import ProjectId
from libs.common.postgres import guarded
from services.introspector.adapters import changes
from services.introspector.core.telling import Told, announcement
from services.introspector.core.versions import Snapshot

SOURCE: Final = "dbify/introspector"
# How many versions of a project are kept: what a far-behind reader may still ask about.
KEPT_VERSIONS: Final = 100
_LOCK_S: Final = 30

_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('introspector.look', $1))"
_LATEST = """
    SELECT version, database_version, fingerprint, packed
    FROM snapshots WHERE project = $1 ORDER BY version DESC LIMIT 1
"""
_SAVE = """
    INSERT INTO snapshots (project, version, database_version, fingerprint, packed) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (project, version) DO UPDATE
    SET database_version = excluded.database_version, fingerprint = excluded.fingerprint, packed = excluded.packed,
        looked_at = now()
"""
_FORGET_OLD = "DELETE FROM snapshots WHERE project = $1 AND version <= $2"
_CONFIRM = "UPDATE snapshots SET looked_at = now(), database_version = $3 WHERE project = $1 AND version = $2"
_DELETE = """
    WITH changed AS (DELETE FROM changes WHERE project = $1),
    scheduled AS (DELETE FROM schedule WHERE project = $1),
    listened AS (DELETE FROM watched WHERE project = $1)
    DELETE FROM snapshots WHERE project = $1
"""

Connection = asyncpg.Connection | PoolConnectionProxy


class Page:
    """A project's snapshots, held: no other look of any replica writes to them meanwhile."""

    def __init__(self, connection: Connection, project: ProjectId, latest: Snapshot | None) -> None:
        self._connection = connection
        self._project = project
        self.latest = latest

    async def save(self, snapshot: Snapshot) -> None:
        """Write a version, the newest anew or the next."""
        await self._connection.execute(_SAVE, self._project, *snapshot)
        await self._connection.execute(_FORGET_OLD, self._project, snapshot.version - KEPT_VERSIONS)

    async def confirm(self, snapshot: Snapshot, database_version: int) -> None:
        """Note that the newest version was seen to be still true."""
        await self._connection.execute(_CONFIRM, self._project, snapshot.version, database_version)

    async def tell(self, told: Told) -> None:
        """Keep what changed and put its event into the outbox, in the transaction of what is saved here."""
        await changes.save(self._connection, self._project, told)
        await outbox.add(self._connection, SOURCE, self._project, announcement(self._project, told))


class Snapshots:
    """All projects' snapshots."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def latest(self, project: ProjectId) -> Snapshot | None:
        """The newest snapshot, or None before the first look."""
        with guarded():
            return await _latest(self._pool, project)

    @asynccontextmanager
    async def held(self, project: ProjectId) -> AsyncIterator[Page]:
        """Keep every other look at the project out until the end, and commit then all that was saved, or nothing."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK, project, timeout=_LOCK_S)
                yield Page(connection, project, await _latest(connection, project))

    async def delete(self, project: ProjectId) -> None:
        """Forget a project. Its sequence of events stays: what is still in the outbox keeps its place."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK, project, timeout=_LOCK_S)
                await connection.execute(_DELETE, project)

    async def check(self) -> None:
        """Raise where the platform database cannot be used."""
        with guarded():
            await self._pool.fetchval("SELECT 1")


async def _latest(connection: Connection | asyncpg.Pool, project: ProjectId) -> Snapshot | None:
    row = await connection.fetchrow(_LATEST, project)
    return None if row is None else Snapshot(*row)
