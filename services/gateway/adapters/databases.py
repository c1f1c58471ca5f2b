"""The users' databases: plans run on held connections."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg
from prometheus_client import Counter

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.sqlstates import translate
from services.gateway.adapters.connections import Connections
from services.gateway.adapters.held import GRACE_S, SLACK_BYTES, Held, pooled_settings
from services.gateway.adapters.lanes import Lanes
from services.gateway.adapters.leases import RENEW_EVERY_S, Leases
from services.gateway.adapters.redis import Shared
from services.gateway.adapters.sessions import Transaction, beginning
from services.gateway.core.limits import Limits
from services.gateway.core.plan import MAX_RESULT_BYTES, TOO_LARGE_SQLSTATE, Plan
from services.gateway.core.saved import Described
from services.gateway.handlers.running import Isolation, Result
from services.gateway.handlers.targets import Target, Targets

IDLE_S: Final = 60.0
_STATEMENT_LOST: Final = frozenset({"26000", "42P05"})

_again = Counter(
    "dbify_gateway_database_retries_total", "Statements that were run a second time, by reason.", ["reason"]
)


# A statement's row, and the microseconds it took.
_Fetched: TypeAlias = tuple[asyncpg.Record | None, int]


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
        self._lanes = Lanes(self._singly, self._fetched)

    async def run(self, project: ProjectId, plan: Plan, role: str = "") -> Result:
        """Run a plan's statement on a connection of its project; reads by key together with others of the same role.

        Raises:
            DbifyError: What the database said, DATABASE_BUSY, DATABASE_UNAVAILABLE, QUERY_TIMEOUT, or
                RESULT_TOO_LARGE.
        """
        connections = await self._to(project)
        if _needs_transaction(plan, connections.target.limits):
            async with self.transaction(project) as session:
                return await session.run(plan)
        if plan.lane is None:
            return await self._singly(connections, plan)
        return await self._lanes.run(connections, plan, plan.lane, role)

    async def target(self, project: ProjectId) -> Target:
        """Where a project's database is, and what its requests are held to."""
        return await self._targets.target(project)

    async def describe(self, project: ProjectId, sql: str) -> Described:
        """The types of a statement, which is not run. INVALID_QUERY."""
        async with self.transaction(project, read_only=True) as session:
            return await session.describe(sql)

    @asynccontextmanager
    async def transaction(
        self, project: ProjectId, *, isolation: Isolation = "read committed", read_only: bool = False
    ) -> AsyncIterator[Transaction]:
        """A transaction: committed where the block ends, rolled back where it raises or is cancelled.

        The whole of it has the time that a single statement has.

        Raises:
            DbifyError: At either end, what the database said.
        """
        connections = await self._to(project)
        held, session = await self._begun(connections, beginning(isolation, read_only=read_only))
        try:
            yield session
            # What a function of the user's set for the session goes with the transaction that only read.
            await session.execute("ROLLBACK" if read_only else "COMMIT")
        except BaseException:
            connections.settle(held)
            raise
        connections.release(held)

    async def _to(self, project: ProjectId) -> Connections:
        try:
            target = await self._targets.target(project)
        except DbifyError as error:
            if error.code is Code.PROJECT_NOT_FOUND:
                self.forget(project)
            raise
        connections = self._projects.get(project)
        if connections is None or connections.target is not target:
            connections = self._current(project, target)
        return connections

    async def _begun(self, connections: Connections, begin: str) -> tuple[Held, Transaction]:
        for _ in range(2):
            held = connections.take() or await connections.wait()
            try:
                session = self._session(connections, held)
                settings = f"; {pooled_settings(connections.target.timeout_ms)}" if connections.pooled else ""
                await session.execute(f"{begin}{settings}")
            except DbifyError as error:
                connections.settle(held)
                # It was held while the server closed it: another may do.
                if error.code is not Code.DATABASE_UNAVAILABLE:
                    raise
            except BaseException:
                connections.settle(held)
                raise
            else:
                return held, session
        raise DbifyError(Code.DATABASE_UNAVAILABLE, "The database closed the connection: try again.")

    def _session(self, connections: Connections, held: Held) -> Transaction:
        held.connection.allow(MAX_RESULT_BYTES + SLACK_BYTES)
        target = connections.target

        def explain(error: Exception) -> DbifyError:
            if isinstance(error, (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)):
                held.forget()
            if getattr(error, "sqlstate", None) in _STATEMENT_LOST:
                connections.pooled = True
                connections.drop(held)
            return _explained(error)

        deadline = asyncio.get_running_loop().time() + target.timeout_ms / 1000 + GRACE_S
        return Transaction(held, target.limits, deadline, pooled=connections.pooled, explain=explain, result=_result)

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

    async def _singly(self, connections: Connections, plan: Plan) -> Result:
        row, took_us = await self._fetched(connections, plan)
        return _result(plan, row, took_us, connections.target.limits)

    async def _fetched(self, connections: Connections, plan: Plan) -> _Fetched:
        try:
            return await self._once(connections, plan, may_retry=True)
        except _RunAgainError:
            return await self._once(connections, plan, may_retry=False)

    async def _once(self, connections: Connections, plan: Plan, *, may_retry: bool) -> _Fetched:
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
        return row, took // 1000

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
        return _too_large(MAX_RESULT_BYTES)
    return translate(error)


def _needs_transaction(plan: Plan, limits: Limits) -> bool:
    """Whether a statement is to be judged on its connection before it takes effect."""
    if plan.silent:
        return False
    return limits.max_cost is not None or (plan.write and limits.max_bytes < MAX_RESULT_BYTES)


def _result(plan: Plan, row: asyncpg.Record | None, database_us: int, limits: Limits) -> Result:
    if plan.silent:
        return Result(b"null", None, 0, database_us)
    if row is None:
        raise DbifyError(Code.DATABASE_UNAVAILABLE, "The database answered nothing: try again.")
    data, count, rows, size = row
    if data is None or size > limits.max_bytes:
        raise _too_large(limits.max_bytes)
    return Result(data.encode(), count, rows, database_us)


def _too_large(limit_bytes: int) -> DbifyError:
    return DbifyError(
        Code.RESULT_TOO_LARGE,
        f"The answer would be larger than {limit_bytes:,} bytes: ask for fewer rows or columns.",
        {"limitBytes": limit_bytes},
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
