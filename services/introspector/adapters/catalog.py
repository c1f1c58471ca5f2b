"""Reading the catalog of a user's PostgreSQL: one connection, one read-only transaction, a handful of statements."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import asyncpg
import msgspec
import stamina

from libs.common import dsn, sqlstates
from libs.common.addresses import Guard
from libs.common.dial import Connection, dial
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase
from libs.common.schema import Database
from libs.common.sealing import Keyring
from services.introspector.adapters.catalog_sql import CATALOG, CONTROL, PULSE
from services.introspector.core.assemble import Origin, Reading
from services.introspector.core.limits import MAX_BYTES
from services.introspector.core.rows import Rows

# Part of every fingerprint: raise it when a look reads something new, so that the next one reads all.
READS: Final = 3
_CONNECT_S: Final = 10
_CLOSE_S: Final = 2
# Rows beyond their own limit are turned away one by one; this is for a server that sends something else.
_MAX_RECEIVED_BYTES: Final = 2 * MAX_BYTES
_ATTEMPTS: Final = 3
# Rows a round trip: a schema of 1,500 tables is four, and none of them takes much memory.
_PREFETCH: Final = 2_000
_SETTINGS: Final[Mapping[str, str]] = {"application_name": "dbify-introspector"}
# The estimates of the one large statement call for JIT and parallel workers, which take longer than the statement.
_NARROW: Final = """
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL statement_timeout = '15s';
SET LOCAL lock_timeout = '5s';
SET LOCAL jit = off;
SET LOCAL max_parallel_workers_per_gather = 0
"""
# A look meets DDL at work: what the pg_get_* functions read is newer than the transaction's snapshot (XX000, "cache
# lookup failed"), or a replica gives up the snapshot (40001). The next look sees it done.
_RACES: Final = (asyncpg.InternalServerError, asyncpg.SerializationError)
# The server's refusal to convert, or the driver's to decode.
_NOT_UTF_8: Final = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError, UnicodeError)


class Catalogs:
    """Opens the databases that projects are about.

    Args:
        keyring: Opens the sealed URLs.
        guard: Says which addresses may be dialled.
    """

    def __init__(self, keyring: Keyring, guard: Guard) -> None:
        self._keyring = keyring
        self._guard = guard

    @asynccontextmanager
    async def open(self, project: ProjectId, database: SealedDatabase) -> AsyncIterator["Catalog"]:
        """A project's catalog.

        Raises:
            DbifyError: As `connected`.
        """
        async with self.connected(project, database) as connection:
            connection.allow(_MAX_RECEIVED_BYTES)
            yield Catalog(connection)

    @asynccontextmanager
    async def connected(self, project: ProjectId, database: SealedDatabase) -> AsyncIterator[Connection]:
        """A connection to a project's database, at the addresses that come with it and no others.

        Raises:
            DbifyError: ADDRESS_FORBIDDEN, DATABASE_UNAVAILABLE, DATABASE_REFUSED_LOGIN, DATABASE_UNSUPPORTED.
        """
        target = self._target(project, database)
        for address in database.addresses:
            self._guard.check(address)
        connection = await dial(target, database.addresses, timeout_s=_CONNECT_S, settings=_SETTINGS)
        try:
            yield connection
            # All was done: a server that does not say goodbye has done its part.
            with suppress(TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                await connection.close(timeout=_CLOSE_S)
        finally:
            connection.terminate()

    def _target(self, project: ProjectId, database: SealedDatabase) -> dsn.Dsn:
        try:
            url = self._keyring.open(database.sealed, str(project), "database", str(database.version))
        except ValueError as error:
            raise DbifyError(
                Code.INTERNAL_ERROR, "The database URL cannot be opened: is DBIFY_MASTER_KEY the gateway's?"
            ) from error
        return dsn.parse(url.decode())


class Catalog:
    """One database's catalog."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self, known: str) -> Reading | None:
        """Read it whole, or None where its fingerprint is the known one.

        Raises:
            DbifyError: SCHEMA_TOO_LARGE, DATABASE_UNSUPPORTED, DATABASE_UNAVAILABLE, QUERY_TIMEOUT.
        """
        try:
            async for attempt in stamina.retry_context(on=_RACES, attempts=_ATTEMPTS, timeout=None):
                with attempt:
                    return await self._look(known)
        except (msgspec.MsgspecError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
            raise _explain(error) from error
        raise AssertionError("stamina returns or raises")

    async def _look(self, known: str) -> Reading | None:
        """One statement where nothing has changed; else one consistent look, in one transaction.

        That is rolled back by hand: where the network or the server is stuck, so would be the statement that ends it.
        """
        if known and _fingerprint(await self._row(PULSE)) == known:
            return None
        transaction = self._connection.transaction(isolation="repeatable_read", readonly=True)
        await transaction.start()
        try:
            reading = Reading(await self._origin(), await self._rows())
        except asyncpg.PostgresError:
            await transaction.rollback()
            raise
        await transaction.rollback()
        return reading

    async def _origin(self) -> Origin:
        """Which database this is. The pulse goes first: it tells the role's search path, which is narrowed then."""
        row = await self._row(PULSE)
        await self._connection.execute(_NARROW)
        system, timeline = (await self._row(CONTROL)) if row["may_read_control"] else ("", 0)
        database = Database(system, timeline, row["oid"], row["name"], row["server_version"])
        return Origin(database, tuple(row["search_path"]), _fingerprint(row))

    async def _row(self, statement: str) -> asyncpg.Record:
        row = await self._connection.fetchrow(statement)
        if row is None:
            raise msgspec.ValidationError("no row where there is always one")
        return row

    async def _rows(self) -> Rows:
        rows = Rows()
        async for tag, entry in self._connection.cursor(CATALOG, prefetch=_PREFETCH):
            rows.add(tag, entry)
        return rows


def _fingerprint(row: asyncpg.Record) -> str:
    where = msgspec.json.encode((row["oid"], row["name"], row["server_version"], row["search_path"])).decode()
    return f"{READS} {where} {row['catalogs']}"


def _explain(error: Exception) -> DbifyError:
    """What it means that a catalog could not be read."""
    if isinstance(error, (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError)):
        return DbifyError(
            Code.QUERY_TIMEOUT,
            "The database's catalog could not be read in time: a statement that changes the schema may hold it up.",
        )
    if isinstance(error, _NOT_UTF_8):
        return DbifyError(Code.DATABASE_UNSUPPORTED, "The database's catalog holds text that is not UTF-8.")
    foreign = isinstance(error, asyncpg.SyntaxOrAccessError) and not isinstance(
        error, asyncpg.InsufficientPrivilegeError
    )
    if foreign or isinstance(error, msgspec.MsgspecError):
        return DbifyError(Code.DATABASE_UNSUPPORTED, "The server's catalog is not that of PostgreSQL 13 or later.")
    return sqlstates.translate(error)
