"""The list of ended keys that every gateway process reads several times a second."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import asyncpg

from libs.common.postgres import guarded

# "At once" as a moment that has passed by every process's clock, however wrong that is.
AT_ONCE = datetime.fromtimestamp(0, UTC)
# An arbitrary number that nothing else in this database locks.
_LOCK = 0x6462_6966_0001
# Longer than any process stays behind: one that has not read for an hour starts afresh.
_PRUNE = "delete from revocations where created_at < now() - interval '1 day'"
_ADD = "insert into revocations (key_hash, ends_at) select hash, $2 from unnest($1::bytea[]) hash"
_FIRST = """
    select coalesce(
        (select min(id) - 1 from revocations where created_at >= now() - make_interval(secs => $1)),
        (select max(id) from revocations),
        0)
"""
_READ = """
    select id, key_hash, extract(epoch from ends_at)::float8 as ends_at
    from revocations where id > $1 order by id limit 10000
"""


class Ended(NamedTuple):
    """A key, and when it ends, in seconds since 1970; 0 is at once."""

    id: int
    key_hash: bytes
    ends_at: float


async def end(connection: asyncpg.pool.PoolConnectionProxy, hashes: Sequence[bytes], ends_at: datetime) -> None:
    """Announce the end of keys, as the last statement of the transaction that ends them.

    The lock is held until the commit is visible, so that ids become visible in their order: a reader that has seen
    one has seen all before it.
    """
    await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
    await connection.execute(_PRUNE)
    await connection.execute(_ADD, hashes, ends_at)


class RevocationRecords:
    """Reads the list."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def first(self, age_s: float) -> int:
        """The id before the oldest entry that is at most `age_s` old: where a process that holds nothing starts."""
        with guarded():
            return int(await self._pool.fetchval(_FIRST, age_s, timeout=1))

    async def after(self, last: int) -> list[Ended]:
        """What came after `last`, in order."""
        with guarded():
            rows = await self._pool.fetch(_READ, last, timeout=1)
        return [Ended(row["id"], row["key_hash"], row["ends_at"]) for row in rows]
