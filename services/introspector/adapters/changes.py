"""What changed with each version, in the schema `introspector` of the platform database."""

from datetime import UTC, datetime
from typing import Final

import asyncpg
import msgspec
import zstandard
from asyncpg.pool import PoolConnectionProxy

from libs.common.changes import Change, Impact
from libs.common.errors import Code, DbifyError
from libs.common.events import MAX_CHANGES_BYTES
from libs.common.ids import ProjectId
from libs.common.postgres import guarded
from libs.common.rpc import ChangeRequest, ChangesPage, ChangesRequest, VersionChanges
from services.introspector.core.telling import Told, fitting

# All of a version's changes; tens of thousands of tables that come or go at once take more.
MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_CHANGE_BYTES: Final = 1024 * 1024
KEPT_VERSIONS: Final = 1_000
_MAX_PAGE: Final = 100

_SAVE: Final = """
    INSERT INTO changes (project, version, from_version, breaking, dangerous, safe, changes, impact)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_FORGET_OLD: Final = "DELETE FROM changes WHERE project = $1 AND version <= $2"
_COLUMNS: Final = "version, from_version, created_at, breaking, dangerous, safe, changes, impact"
_LIST: Final = f"""
    SELECT {_COLUMNS} FROM changes WHERE project = $1 AND version < $2 ORDER BY version DESC LIMIT $3
"""  # noqa: S608  constants of this module
_ONE: Final = f"SELECT {_COLUMNS} FROM changes WHERE project = $1 AND version = $2"  # noqa: S608  likewise
_NEWEST: Final = 2**31 - 1

_changes = msgspec.json.Decoder(tuple[Change, ...])
_impact = msgspec.json.Decoder(Impact)

Connection = asyncpg.Connection | PoolConnectionProxy


async def save(connection: Connection, project: ProjectId, told: Told) -> None:
    """Keep a version's changes, in the transaction of its snapshot."""
    levels = [change.level for change in told.changes]
    kept = fitting(told.changes, MAX_BYTES, _MAX_CHANGE_BYTES)
    packed = zstandard.ZstdCompressor().compress(msgspec.json.encode(kept))
    counts = (levels.count("breaking"), levels.count("dangerous"), levels.count("safe"))
    impact = msgspec.json.encode(told.impact)
    await connection.execute(_SAVE, project, told.to_version, told.from_version, *counts, packed, impact)
    await connection.execute(_FORGET_OLD, project, told.to_version - KEPT_VERSIONS)


class Changes:
    """Answers what changed.

    Args:
        pool: The platform database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, asked: ChangesRequest) -> ChangesPage:
        """Versions, newest first, each with as many changes as its event tells."""
        limit = min(max(asked.limit, 1), _MAX_PAGE)
        before = _NEWEST if asked.before is None else min(asked.before, _NEWEST)
        with guarded():
            rows = await self._pool.fetch(_LIST, asked.project_id, before, limit + 1)
        data = [_version(row, whole=False) for row in rows[:limit]]
        return ChangesPage(data, data[-1].id if len(rows) > limit else None)

    async def one(self, asked: ChangeRequest) -> VersionChanges:
        """One version, whole. NOT_FOUND."""
        row = None
        if asked.version <= _NEWEST:
            with guarded():
                row = await self._pool.fetchrow(_ONE, asked.project_id, asked.version)
        if row is None:
            raise DbifyError(Code.NOT_FOUND, f"Nothing is known of what changed with version {asked.version}.")
        return _version(row, whole=True)


def _version(row: asyncpg.Record, *, whole: bool) -> VersionChanges:
    found = _changes.decode(zstandard.ZstdDecompressor().decompress(row["changes"]))
    return VersionChanges(
        id=str(row["version"]),
        version=row["version"],
        from_version=row["from_version"],
        time=_rfc3339(row["created_at"]),
        breaking=row["breaking"],
        dangerous=row["dangerous"],
        safe=row["safe"],
        changes=list(found if whole else fitting(found, MAX_CHANGES_BYTES)),
        impact=_impact.decode(row["impact"]),
    )


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
