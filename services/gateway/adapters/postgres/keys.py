"""API keys."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import asyncpg

from libs.common import outbox
from libs.common.events import KeyCreated, KeyRevoked, KeyRotated
from libs.common.ids import KeyId, ProjectId
from libs.common.postgres import guarded
from services.gateway.adapters.keys import Found
from services.gateway.adapters.postgres import SOURCE
from services.gateway.adapters.postgres.revocations import AT_ONCE, end
from services.gateway.core.pages import Paging
from services.gateway.handlers.keys import Key
from services.gateway.handlers.running import Identity

_WORKING = "revoked_at is null and (expires_at is null or expires_at > now())"
_COLUMNS = "id, name, prefix, role, created_at, last_used_at, expires_at"
INSERT = """
    insert into keys (id, project, hash, name, prefix, role, created_at) values ($1, $2, $3, $4, $5, $6, $7)
"""
_INSERT_WITHIN = f"""
    insert into keys (id, project, hash, name, prefix, role, created_at) select $1, $2, $3, $4, $5, $6, $7
    where (select count(*) from keys where project = $2 and {_WORKING}) < $8
"""  # noqa: S608  constants of this module
_LIST = f"""
    select {_COLUMNS} from keys
    where project = $1 and {_WORKING} and ($2::uuid is null or id < $2)
    order by id desc limit $3
"""  # noqa: S608  constants of this module
_EXPIRE = f"""
    update keys set expires_at = least(expires_at, $3) where project = $1 and id = $2 and {_WORKING}
    returning hash, name, role, expires_at
"""  # noqa: S608  constants of this module
_REVOKE = f"""
    update keys set revoked_at = now() where project = $1 and id = $2 and {_WORKING} returning hash
"""  # noqa: S608  constants of this module
_FIND = """
    select id, project, role, extract(epoch from expires_at)::float8 as ends_at
    from keys where hash = $1 and revoked_at is null
"""
_USED = """
    update keys set last_used_at = greatest(last_used_at, to_timestamp(used.at))
    from (select unnest($1::uuid[]) as id, unnest($2::float8[]) as at) used
    where keys.id = used.id
"""


class KeyRecords:
    """`handlers.keys.Records` and `adapters.keys.Records` in Postgres.

    Args:
        pool: The platform database.
        announced: Called when events were committed to the outbox.
    """

    def __init__(self, pool: asyncpg.Pool, announced: Callable[[], None]) -> None:
        self._pool = pool
        self._announced = announced

    async def add(self, project: ProjectId, key: Key, key_hash: bytes, limit: int) -> bool:
        """Keep a new key; False where the project has `limit` already."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                done = await connection.execute(_INSERT_WITHIN, *_row(project, key, key_hash), limit)
                if done != "INSERT 0 1":
                    return False
                await outbox.add(connection, SOURCE, project, KeyCreated(key.id, key.name, key.prefix))
        self._announced()
        return True

    async def list(self, project: ProjectId, paging: Paging) -> list[Key]:
        """Up to one more than a page of the keys that work, newest first."""
        with guarded():
            rows = await self._pool.fetch(_LIST, project, paging.after, paging.limit + 1)
        return [_key(row) for row in rows]

    async def replace(
        self, project: ProjectId, old: KeyId, new_id: KeyId, new_prefix: str, new_hash: bytes, expires_at: datetime
    ) -> Key | None:
        """Keep a new key of the same name and role, and let the old one end; None where there is no old one."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                before = await connection.fetchrow(_EXPIRE, project, old, expires_at)
                if before is None:
                    return None
                key = Key(new_id, before["name"], new_prefix, before["role"], datetime.now(UTC), None, None)
                await connection.execute(INSERT, *_row(project, key, new_hash))
                ends = before["expires_at"]
                await outbox.add(connection, SOURCE, project, KeyRotated(new_id, old, ends.isoformat()))
                await end(connection, [before["hash"]], ends if ends > datetime.now(UTC) else AT_ONCE)
        self._announced()
        return key

    async def end(self, project: ProjectId, key: KeyId) -> bool:
        """Revoke a key; False where there is no such one."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                key_hash = await connection.fetchval(_REVOKE, project, key)
                if key_hash is None:
                    return False
                await outbox.add(connection, SOURCE, project, KeyRevoked(key))
                await end(connection, [key_hash], AT_ONCE)
        self._announced()
        return True

    async def find(self, key_hash: bytes) -> Found | None:
        """Whose key has this hash; None where there is none, or it was revoked."""
        with guarded():
            row = await self._pool.fetchrow(_FIND, key_hash, timeout=2)
        if row is None:
            return None
        identity = Identity(ProjectId(row["project"]), KeyId(str(row["id"])), row["role"])
        return Found(identity, float("inf") if row["ends_at"] is None else row["ends_at"])

    async def used(self, when: Mapping[KeyId, float]) -> None:
        """Note when keys were last used, in seconds since 1970."""
        with guarded():
            await self._pool.execute(_USED, list(when), list(when.values()))


def _row(project: ProjectId, key: Key, key_hash: bytes) -> tuple[object, ...]:
    return key.id, project, key_hash, key.name, key.prefix, key.role, key.created_at


def _key(row: asyncpg.Record) -> Key:
    return Key(
        KeyId(str(row["id"])), row["name"], row["prefix"], row["role"],
        row["created_at"], row["last_used_at"], row["expires_at"],
    )  # fmt: skip
