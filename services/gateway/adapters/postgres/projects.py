"""Projects with their sealed databases and schema copies."""

from collections.abc import Callable, Mapping

import asyncpg
import msgspec

from libs.common import outbox
from libs.common.events import KeyCreated, ProjectCreated, ProjectDeleted, ProjectUpdated
from libs.common.ids import AccountId, ProjectId
from libs.common.postgres import guarded
from libs.common.rpc import Owner, SealedDatabase
from libs.common.schema import unpack
from services.gateway.adapters.postgres import SOURCE, keys
from services.gateway.adapters.postgres.revocations import AT_ONCE, end
from services.gateway.adapters.targets import Settings
from services.gateway.core.limits import Limits
from services.gateway.core.pages import Paging
from services.gateway.handlers.keys import Key
from services.gateway.handlers.projects import Project

_COLUMNS = "id, name, database_version, created_at, updated_at, timeout_ms, limits"
_INSERT = """
    insert into projects
        (id, name, owner, database_sealed, database_version, database_addresses, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $7)
"""
_FIND = f"select {_COLUMNS} from projects where owner = $1 and id = $2"  # noqa: S608  a constant of this module
_LIST = f"""
    select {_COLUMNS} from projects
    where owner = $1 and ($2::bigint is null or id < $2)
    order by id desc limit $3
"""  # noqa: S608  a constant of this module
_RENAME = f"""
    update projects set name = $3, updated_at = now() where owner = $1 and id = $2 returning {_COLUMNS}
"""  # noqa: S608  a constant of this module
_MOVE = f"""
    update projects
    set name = coalesce($3, name), database_sealed = $4, database_version = $5, database_addresses = $6,
        updated_at = now()
    where owner = $1 and id = $2 and database_version = $5 - 1
    returning {_COLUMNS}
"""  # noqa: S608  a constant of this module
# What is null goes back to how it is by itself.
_LIMIT = f"""
    update projects
    set limits = jsonb_strip_nulls(limits || $3::jsonb), timeout_ms = coalesce($4, timeout_ms), updated_at = now()
    where owner = $1 and id = $2 returning {_COLUMNS}
"""  # noqa: S608  a constant of this module
_OWNER = """
    select accounts.id, email, projects.name from projects join accounts on accounts.id = projects.owner
    where projects.id = $1
"""
_SETTINGS = """
    select database_sealed, database_version, database_addresses, connections, timeout_ms, limits
    from projects where id = $1
"""
_STORE_SNAPSHOT = """
    insert into snapshots (project, version, packed)
    select id, $2, $3 from projects where id = $1
    on conflict (project) do update set version = excluded.version, packed = excluded.packed, stored_at = now()
    where snapshots.version < excluded.version
"""


class ProjectRecords:
    """`handlers.projects.Records` in Postgres, and what other services ask about projects.

    Args:
        pool: The platform database.
        announced: Called when events were committed to the outbox.
    """

    def __init__(self, pool: asyncpg.Pool, announced: Callable[[], None]) -> None:
        self._pool = pool
        self._announced = announced

    async def check(self) -> None:
        """For readiness: raises where Postgres is down."""
        with guarded():
            await self._pool.fetchval("select 1")

    async def next_id(self) -> ProjectId:
        """An id that no other project has or had."""
        with guarded():
            return ProjectId(await self._pool.fetchval("select nextval('project_id')"))

    async def add(
        self, owner: AccountId, project: Project, database: SealedDatabase, snapshot: bytes, key: Key, key_hash: bytes
    ) -> None:
        """Keep a new project, its first key and its first snapshot."""
        created = ProjectCreated(project.name)
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    _INSERT, project.id, project.name, owner,
                    database.sealed, database.version, database.addresses, project.created_at,
                )  # fmt: skip
                await connection.execute(
                    keys.INSERT, key.id, project.id, key_hash, key.name, key.prefix, key.role, key.created_at
                )
                await _store(connection, project.id, snapshot)
                await outbox.add(connection, SOURCE, project.id, created)
                await outbox.add(connection, SOURCE, project.id, KeyCreated(key.id, key.name, key.prefix))
        self._announced()

    async def find(self, owner: AccountId, project: ProjectId) -> Project | None:
        """The owner's project of this id."""
        with guarded():
            row = await self._pool.fetchrow(_FIND, owner, project)
        return _project(row) if row else None

    async def list(self, owner: AccountId, paging: Paging) -> list[Project]:
        """Up to one more than a page of the owner's projects, newest first."""
        after = int(paging.after) if paging.after else None
        with guarded():
            rows = await self._pool.fetch(_LIST, owner, after, paging.limit + 1)
        return [_project(row) for row in rows]

    async def rename(self, owner: AccountId, project: ProjectId, name: str) -> Project | None:
        """Give a project another name; None where it is not there."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_RENAME, owner, project, name)
                changed = await _updated(connection, row)
        self._announced()
        return changed

    async def limit(
        self, owner: AccountId, project: ProjectId, limits: Mapping[str, float | None], timeout_ms: int | None
    ) -> Project | None:
        """Set those limits of a project that are named; None where it is not there."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                changes = msgspec.json.encode(limits).decode()
                row = await connection.fetchrow(_LIMIT, owner, project, changes, timeout_ms)
                changed = await _updated(connection, row)
        self._announced()
        return changed

    async def move(
        self, owner: AccountId, project: ProjectId, name: str | None, database: SealedDatabase, snapshot: bytes
    ) -> Project | None:
        """Point a project to another database; None where it is not there or has moved meanwhile."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(
                    _MOVE, owner, project, name, database.sealed, database.version, database.addresses
                )
                if row is not None:
                    await _store(connection, project, snapshot)
                changed = await _updated(connection, row)
        self._announced()
        return changed

    async def delete(self, owner: AccountId, project: ProjectId) -> bool:
        """Forget a project with its keys and snapshot; False where it is not there."""
        with guarded():
            async with self._pool.acquire() as connection, connection.transaction():
                # The lock keeps new keys out, so that none escapes being ended.
                name = await connection.fetchval(
                    "select name from projects where owner = $1 and id = $2 for update", owner, project
                )
                if name is None:
                    return False
                hashes = await connection.fetch("select hash from keys where project = $1", project)
                await connection.execute("delete from projects where id = $1", project)
                await outbox.add(connection, SOURCE, project, ProjectDeleted(name))
                await end(connection, [row["hash"] for row in hashes], AT_ONCE)
        self._announced()
        return True

    async def settings(self, project: ProjectId) -> Settings | None:
        """A project's sealed database with its limits, whoever owns it."""
        with guarded():
            row = await self._pool.fetchrow(_SETTINGS, project)
        if row is None:
            return None
        database = SealedDatabase(project, row["database_sealed"], row["database_version"], row["database_addresses"])
        return Settings(database, row["connections"], row["timeout_ms"], _limits(row))

    async def owner(self, project: ProjectId) -> Owner | None:
        """Whom to write to about a project."""
        with guarded():
            row = await self._pool.fetchrow(_OWNER, project)
        return Owner(str(row["id"]), row["email"], row["name"]) if row else None

    async def snapshot(self, project: ProjectId) -> bytes | None:
        """The stored copy of a project's newest snapshot, packed."""
        with guarded():
            return await self._pool.fetchval(  # type: ignore[no-any-return]  # bytea
                "select packed from snapshots where project = $1", project
            )

    async def store_snapshot(self, project: ProjectId, version: int, packed: bytes) -> None:
        """Keep a snapshot, unless a newer one is there or the project is gone."""
        with guarded():
            await self._pool.execute(_STORE_SNAPSHOT, project, version, packed)


async def _store(connection: asyncpg.pool.PoolConnectionProxy, project: ProjectId, snapshot: bytes) -> None:
    await connection.execute(_STORE_SNAPSHOT, project, unpack(snapshot).version, snapshot)


async def _updated(connection: asyncpg.pool.PoolConnectionProxy, row: asyncpg.Record | None) -> Project | None:
    if row is None:
        return None
    project = _project(row)
    data = ProjectUpdated(project.name, project.database_version)
    await outbox.add(connection, SOURCE, project.id, data)
    return project


def _project(row: asyncpg.Record) -> Project:
    return Project(
        ProjectId(row["id"]), row["name"], row["database_version"], row["created_at"], row["updated_at"],
        row["timeout_ms"], _limits(row),
    )  # fmt: skip


def _limits(row: asyncpg.Record) -> Limits:
    return msgspec.json.decode(row["limits"], type=Limits)
