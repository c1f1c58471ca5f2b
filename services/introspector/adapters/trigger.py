"""An event trigger in a user's database, where its owner asked for it: it tells by NOTIFY when the schema changes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import asyncpg

from libs.common import sqlstates
from libs.common.dial import Connection
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase
from services.introspector.adapters.catalog import Catalogs

_CHANNEL: Final = "dbify_watch"
# Dropping temporary tables cannot be told from dropping others; making them can. Whatever goes wrong in it, the user's
# own statement goes on. DROP CASCADE is not: what somebody else put into the schema stays theirs.
_INSTALL: Final = """
CREATE SCHEMA IF NOT EXISTS dbify_watch;
COMMENT ON SCHEMA dbify_watch IS 'Made by Dbify, to be told when the schema changes. It can be removed at any time.';
CREATE OR REPLACE FUNCTION dbify_watch.tell() RETURNS event_trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  IF TG_TAG LIKE 'DROP%' OR EXISTS (
    SELECT FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp'
  ) THEN
    PERFORM pg_notify('dbify_watch', '');
  END IF;
EXCEPTION WHEN OTHERS THEN
  NULL;
END
$$;
DROP EVENT TRIGGER IF EXISTS dbify_watch;
CREATE EVENT TRIGGER dbify_watch ON ddl_command_end EXECUTE FUNCTION dbify_watch.tell();
"""
_REMOVE: Final = """
DROP EVENT TRIGGER IF EXISTS dbify_watch;
DROP FUNCTION IF EXISTS dbify_watch.tell();
DROP SCHEMA IF EXISTS dbify_watch;
"""
_IS_INSTALLED: Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_event_trigger WHERE evtname = 'dbify_watch' AND evtenabled IN ('O', 'A'))
"""
_TRY: Final = "SELECT pg_catalog.pg_notify('dbify_watch', '')"
_TRY_S: Final = 3.0
# An owner's statement may hold what is asked for.
_STATEMENT_S: Final = 10.0
# What a listener may be sent between two looks; notifications are tens of bytes.
_MAX_HEARD_BYTES: Final = 1024 * 1024
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Triggers:
    """Event triggers in the projects' databases."""

    def __init__(self, catalogs: Catalogs) -> None:
        self._catalogs = catalogs

    async def install(self, project: ProjectId, database: SealedDatabase) -> None:
        """Install it, and see that it is heard.

        Raises:
            DbifyError: DATABASE_PERMISSION_DENIED where the role may not make event triggers; DATABASE_UNSUPPORTED
                where a pooler keeps notifications from arriving; what keeps the database from being reached.
        """
        async with self._catalogs.connected(project, database) as connection:
            await _execute(connection, _INSTALL)
            if not await _is_heard(connection):
                await _execute(connection, _REMOVE)
                raise DbifyError(
                    Code.DATABASE_UNSUPPORTED,
                    "The database's notifications do not arrive: a pooler in transaction mode keeps them. Register "
                    "the database by its own address, or leave it at looks every few seconds.",
                )

    async def remove(self, project: ProjectId, database: SealedDatabase) -> None:
        """Remove all that `install` made.

        Raises:
            DbifyError: As `install`.
        """
        async with self._catalogs.connected(project, database) as connection:
            await _execute(connection, _REMOVE)

    @asynccontextmanager
    async def listen(self, project: ProjectId, database: SealedDatabase) -> AsyncIterator["Listener"]:
        """A connection that hears what it tells.

        Raises:
            DbifyError: NOT_FOUND where it is not installed; what keeps the database from being reached.
        """
        async with self._catalogs.connected(project, database) as connection:
            listener = Listener(connection)
            with _explained():
                await connection.add_listener(_CHANNEL, listener.hear)
                installed = await connection.fetchval(_IS_INSTALLED, timeout=_STATEMENT_S)
            if not installed:
                raise DbifyError(Code.NOT_FOUND, "The database has no event trigger of Dbify's.")
            try:
                yield listener
            finally:
                # asyncpg warns of listeners that are left on a connection.
                connection.terminate()


class Listener:
    """A database that is listened to."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._told = asyncio.Event()
        connection.add_termination_listener(self.hear)

    def hear(self, *_: object) -> None:
        """Called by the driver, with a notification or at the connection's end."""
        self._told.set()

    async def told(self, within_s: float) -> bool:
        """Whether it told of a change in time.

        Raises:
            DbifyError: DATABASE_UNAVAILABLE where the connection is gone or the server does not answer.
        """
        self._connection.allow(_MAX_HEARD_BYTES)
        told = True
        try:
            async with asyncio.timeout(within_s):
                await self._told.wait()
        except TimeoutError:
            told = False
            # Silence means that nothing changed only where the server is still there.
            with _explained():
                await self._connection.fetchval("SELECT 1", timeout=_STATEMENT_S)
        self._told.clear()
        if self._connection.is_closed():
            raise DbifyError(Code.DATABASE_UNAVAILABLE, "The connection to the database was closed.")
        return told


async def _is_heard(connection: Connection) -> bool:
    """Whether a notification arrives where it is listened for."""
    heard = asyncio.Event()

    def hear(*_: object) -> None:
        heard.set()

    with _explained():
        await connection.add_listener(_CHANNEL, hear)
        await connection.execute(_TRY, timeout=_STATEMENT_S)
    with suppress(TimeoutError):
        async with asyncio.timeout(_TRY_S):
            await heard.wait()
    with _explained():
        await connection.remove_listener(_CHANNEL, hear)
    return heard.is_set()


async def _execute(connection: Connection, statements: str) -> None:
    """All of the statements, or none."""
    with _explained():
        async with connection.transaction():
            await connection.execute(statements, timeout=_STATEMENT_S)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what a database answers into documented errors."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise DbifyError(
            Code.DATABASE_PERMISSION_DENIED,
            "Only a superuser, or on managed servers the administrator's role, may make and remove event triggers. "
            "Without one Dbify sees changes within seconds, by looking; to see them at once, register the database "
            "with such a role.",
        ) from error
    except _FAILURES as error:
        raise sqlstates.translate(error) from error
