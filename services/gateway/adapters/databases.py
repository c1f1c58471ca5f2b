"""The users' databases: plans run on held connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
from prometheus_client import Counter

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.sqlstates import translate
from services.gateway.adapters.connections import Connections
from services.gateway.adapters.held import GRACE_S, SLACK_BYTES, Held
from services.gateway.adapters.leases import RENEW_EVERY_S, Leases
from services.gateway.adapters.redis import Shared
from services.gateway.core.plan import MAX_RESULT_BYTES, TOO_LARGE_SQLSTATE, Plan
from services.gateway.handlers.query import Result
from services.gateway.handlers.targets import Target, Targets

IDLE_S: Final = 60.0
_STATEMENT_LOST: Final = frozenset({"26000", "42P05"})

_again = Counter(
    "dbify_gateway_database_retries_total", "Statements that were run a second time, by reason.", ["reason"]
)


class _RunAgainError(Exception):
    """The statement did nothing, or only read, and may do better on a second try."""


class Databases:
    """`handlers.query.Databases`."""

    def __init__(self, targets: Targets, leases: Leases, idle_s: float = IDLE_S) -> None:
        self._targets = targets
        self._leases = leases
        self._idle_s = idle_s
        self._projects: dict[ProjectId, Connections] = {}
        self._closing: set[Connections] = set()

    async def run(self, project: ProjectId, plan: Plan) -> Result:
        """Run a plan's statement on a connection of its project.

        Raises:
            DbifyError: What the database said, DATABASE_BUSY, DATABASE_UNAVAILABLE, QUERY_TIMEOUT, or
                RESULT_TOO_LARGE.
        """
        try:
            target = await self._targets.target(project)
        except DbifyError as error:
            if error.code is Code.PROJECT_NOT_FOUND:
                self.forget(project)
            raise
        connections = self._projects.get(project)
        if connections is None or connections.target is not target:
            connections = self._current(project, target)
        try:
            return await self._run(connections, plan, may_retry=True)
        except _RunAgainError:
            return await self._run(connections, plan, may_retry=False)

    def forget(self, project: ProjectId) -> None:
        """The project changed or is gone: close its connections, the busy ones as they come back."""
        connections = self._projects.pop(project, None)
        if connections is not None:
            self._closing.add(connections)
            connections.close()

    async def maintain(self, stop: asyncio.Event) -> None:
        """Close what is idle and renew the leases, until told to stop."""
        while not await _set_within(stop, min(RENEW_EVERY_S, self._idle_s / 4)):
            for project, connections in [*self._projects.items()]:
                connections.close_idle(self._idle_s)
                if connections.unused:
                    del self._projects[project]
            self._closing = {connections for connections in self._closing if not connections.unused}
            await self._leases.renew()

    async def close(self) -> None:
        """Close every connection, and give the leases back."""
        for project in [*self._projects]:
            self.forget(project)
        for connections in [*self._closing]:
            await connections.finish()

    def _current(self, project: ProjectId, target: Target) -> Connections:
        """The connections to the target, which has been read anew: others than before if it says otherwise."""
        connections = self._projects.get(project)
        if connections is not None:
            if _alike(connections.target, target) or connections.target.version > target.version:
                connections.target = target
                return connections
            self.forget(project)
        connections = self._projects[project] = Connections(project, target, self._leases)
        return connections

    async def _run(self, connections: Connections, plan: Plan, *, may_retry: bool) -> Result:
        held = connections.take() or await connections.wait()
        held.connection.allow(MAX_RESULT_BYTES + SLACK_BYTES)
        timeout_s = connections.target.timeout_ms / 1000 + GRACE_S
        started = time.perf_counter_ns()
        try:
            if connections.pooled:
                row = await held.transact(plan, connections.target.timeout_ms, timeout_s)
            else:
                row = await held.fetch(plan, timeout_s)
        except (asyncio.CancelledError, TimeoutError) as error:
            connections.settle(held)
            if isinstance(error, TimeoutError):
                raise translate(error) from None
            raise
        except Exception as error:  # noqa: BLE001 - the driver fails in as many ways as a server can misbehave
            self._after(error, connections, held)
            if may_retry and _may_run_again(error, plan):
                _again.labels(type(error).__name__).inc()
                raise _RunAgainError from None
            raise _explained(error) from None
        took = time.perf_counter_ns() - started
        connections.release(held)
        return _result(row, took // 1000)

    def _after(self, error: Exception, connections: Connections, held: Held) -> None:
        """Keep the connection where the server only said no; drop it where the driver may have lost the thread."""
        if getattr(error, "sqlstate", None) in _STATEMENT_LOST:
            # A pooler that took our settings without a word: from now on, whole transactions.
            connections.pooled = True
            connections.drop(held)
        elif held.connection.is_closed() or not isinstance(
            error, (asyncpg.PostgresError, asyncpg.DataError, asyncpg.OutdatedSchemaCacheError)
        ):
            connections.drop(held)
        elif held.connection.is_in_transaction():
            connections.settle(held)
        else:
            if isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
                held.forget()
            connections.release(held)


def _alike(before: Target, after: Target) -> bool:
    """Whether connections made for one serve the other as well."""
    return (before.version, before.connections, before.timeout_ms) == (
        after.version,
        after.connections,
        after.timeout_ms,
    )


# What a connection raises that the server had closed, or was about to.
_GONE = (asyncpg.ConnectionDoesNotExistError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


def _may_run_again(error: Exception, plan: Plan) -> bool:
    if isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
        return True
    if getattr(error, "sqlstate", None) in _STATEMENT_LOST:
        return True
    # Nobody knows how far a write came.
    return not plan.write and isinstance(error, _GONE) and not isinstance(error, asyncpg.DataError)


def _explained(error: Exception) -> DbifyError:
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == TOO_LARGE_SQLSTATE:
        return _too_large()
    return translate(error)


def _result(row: asyncpg.Record | None, database_us: int) -> Result:
    if row is None:
        raise DbifyError(Code.DATABASE_UNAVAILABLE, "The database answered nothing: try again.")
    data, count, rows, _size = row
    if data is None:
        raise _too_large()
    return Result(data.encode(), count, rows, database_us)


def _too_large() -> DbifyError:
    return DbifyError(
        Code.RESULT_TOO_LARGE,
        f"The answer would be larger than {MAX_RESULT_BYTES:,} bytes: ask for fewer rows or columns.",
        {"limitBytes": MAX_RESULT_BYTES},
    )


@asynccontextmanager
async def databases(targets: Targets, shared: Shared, *, idle_s: float = IDLE_S) -> AsyncIterator[Databases]:
    """The users' databases, kept in order until left."""
    all_ = Databases(targets, Leases(shared), idle_s)
    stop = asyncio.Event()
    maintenance = asyncio.create_task(all_.maintain(stop))
    try:
        yield all_
    finally:
        stop.set()
        await maintenance
        await all_.close()


async def _set_within(event: asyncio.Event, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    except TimeoutError:
        return False
