"""Saved queries with their versions."""

import asyncpg
import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.postgres import guarded
from services.gateway.core.credentials import is_id
from services.gateway.core.pages import Paging
from services.gateway.core.saved import Definition
from services.gateway.handlers.saved import SavedQuery

_NEWEST = """
    select q.id, q.name, q.version, v.definition, q.created_at, q.updated_at
    from queries as q join query_versions as v on v.query = q.id and v.version = q.version
    where q.project = $1
"""
_PAGE = f"{_NEWEST} and ($2::uuid is null or q.id < $2) order by q.id desc limit $3"
_ALL = f"{_NEWEST} order by q.name"
_BY_ID = f"{_NEWEST} and q.id = $2"
_BY_NAME = f"{_NEWEST} and q.name = $2"
_VERSIONS = """
    select q.id, v.name, v.version, v.definition, q.created_at, v.created_at as updated_at
    from queries as q join query_versions as v on v.query = q.id
    where q.project = $1 and q.id = $2 order by v.version desc
"""
_INSERT = """
    insert into queries (id, project, name, version, created_at, updated_at) select $1, $2, $3, $4, $5, $6
    where (select count(*) from queries where project = $2) < $7
"""
_INSERT_VERSION = """
    insert into query_versions (query, version, name, definition, created_at) values ($1, $2, $3, $4, $5)
"""
_UPDATE = """
    update queries set name = $3, version = $4, updated_at = $5 where project = $1 and id = $2 and version = $4 - 1
"""


class QueryRecords:
    """`handlers.saved.Records` in Postgres.

    Args:
        pool: The platform database.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, project: ProjectId, query: SavedQuery, limit: int) -> bool:
        """Keep a new query; False where the project has `limit` already. QUERY_NAME_TAKEN."""
        with guarded():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    done = await connection.execute(
                        _INSERT, query.id, project, query.name, query.version,
                        query.created_at, query.updated_at, limit,
                    )  # fmt: skip
                    if done != "INSERT 0 1":
                        return False
                    await _store(connection, query)
            except asyncpg.UniqueViolationError:
                raise _taken(query.name) from None
        return True

    async def page(self, project: ProjectId, paging: Paging) -> list[SavedQuery]:
        """Up to one more than a page of the project's queries, newest first."""
        with guarded():
            rows = await self._pool.fetch(_PAGE, project, paging.after, paging.limit + 1)
        return [_query(row) for row in rows]

    async def all(self, project: ProjectId) -> list[SavedQuery]:
        """All of the project's queries, by name."""
        with guarded():
            return [_query(row) for row in await self._pool.fetch(_ALL, project)]

    async def names(self, project: ProjectId) -> list[str]:
        """What the project's queries are called."""
        with guarded():
            rows = await self._pool.fetch("select name from queries where project = $1", project)
        return [row["name"] for row in rows]

    async def find(self, project: ProjectId, reference: str) -> SavedQuery | None:
        """The query of this name or id."""
        if "\0" in reference:
            return None
        with guarded():
            row = await self._pool.fetchrow(_BY_ID if is_id(reference) else _BY_NAME, project, reference)
        return _query(row) if row else None

    async def replace(self, project: ProjectId, query: SavedQuery, keep: int) -> bool:
        """Keep a version that follows on the newest; False where another came in between. QUERY_NAME_TAKEN."""
        with guarded():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    done = await connection.execute(
                        _UPDATE, project, query.id, query.name, query.version, query.updated_at
                    )
                    if done != "UPDATE 1":
                        return False
                    await _store(connection, query)
                    await connection.execute(
                        "delete from query_versions where query = $1 and version <= $2", query.id, query.version - keep
                    )
            except asyncpg.UniqueViolationError:
                raise _taken(query.name) from None
        return True

    async def versions(self, project: ProjectId, query: str) -> list[SavedQuery]:
        """The versions that are kept of the query of this id, newest first."""
        with guarded():
            return [_query(row) for row in await self._pool.fetch(_VERSIONS, project, query)]

    async def delete(self, project: ProjectId, query: str) -> bool:
        """Forget the query of this id with its versions; False where there is no such one."""
        with guarded():
            done = await self._pool.execute("delete from queries where project = $1 and id = $2", project, query)
        return done == "DELETE 1"


async def _store(connection: asyncpg.pool.PoolConnectionProxy, query: SavedQuery) -> None:
    definition = msgspec.json.encode(query.definition).decode()
    await connection.execute(_INSERT_VERSION, query.id, query.version, query.name, definition, query.updated_at)


def _query(row: asyncpg.Record) -> SavedQuery:
    definition = msgspec.json.decode(row["definition"], type=Definition)
    return SavedQuery(str(row["id"]), row["name"], row["version"], definition, row["created_at"], row["updated_at"])


def _taken(name: str) -> DbifyError:
    return DbifyError(Code.QUERY_NAME_TAKEN, f'The project has a saved query "{name}".', {"query": name})
