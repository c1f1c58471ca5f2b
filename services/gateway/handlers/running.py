"""How an operation is run: what a runner is handed, and what it gives back."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId
from libs.common.logs import LogRecord
from services.gateway.core.catalog import Catalog
from services.gateway.core.plan import Plan
from services.gateway.core.request import Request
from services.gateway.handlers.targets import Target

Isolation: TypeAlias = Literal["read committed", "repeatable read", "serializable"]

# What a snapshot that is out of date looks like: from the planner, and from the database.
_STALE: Final = frozenset({Code.TABLE_NOT_FOUND, Code.COLUMN_NOT_FOUND, Code.FUNCTION_NOT_FOUND, Code.SCHEMA_CHANGED})
# A statement prepared before the schema changed; its transaction did nothing and finds it prepared anew.
_OLD_STATEMENT: Final = "0A000"


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a key of a project."""

    project: ProjectId
    key: KeyId
    role: str


class Result(msgspec.Struct, frozen=True):
    """What a plan's statement gave: `data` is b"" where the answer has none; `coalesced` where it was shared."""

    data: bytes
    count: int | None
    rows: int
    database_us: int
    coalesced: bool = False


class Mark(msgspec.Struct, frozen=True):
    """A transaction, to be found again.

    Attributes:
        database: The database's identity: in another one, or after a failover, the same xid is another transaction.
        xid: `txid_current()`.
        pid: The server process that runs it.
    """

    database: str
    xid: int
    pid: int


class Schemas(Protocol):
    """The projects' tables, as last seen."""

    async def current(self, project: ProjectId) -> Catalog:
        """The newest snapshot that is at hand."""
        ...

    async def refresh(self, project: ProjectId, newer_than: int) -> Catalog:
        """A snapshot newer than that version where there is one: the database is looked at again.

        Calls at the same time share one look.
        """
        ...


class Session(Protocol):
    """A transaction on a user's database."""

    async def run(self, plan: Plan) -> Result:
        """Run a plan's statement in it.

        Raises:
            DbifyError: As `Databases.run`; the transaction can then only be rolled back.
        """
        ...

    async def identity(self) -> Mark:
        """Which transaction this is. It takes a transaction id, so never in a read-only one."""
        ...


class Databases(Protocol):
    """The users' databases."""

    async def target(self, project: ProjectId) -> Target:
        """Where a project's database is, and what its requests are held to."""
        ...

    async def run(self, project: ProjectId, plan: Plan, role: str = "") -> Result:
        """Run a plan's statement, alone or together with others of the same lane and role.

        Raises:
            DbifyError: RESULT_TOO_LARGE, SCHEMA_CHANGED, or what the database said.
        """
        ...

    def transaction(
        self, project: ProjectId, *, isolation: Isolation = "read committed", read_only: bool = False
    ) -> AbstractAsyncContextManager[Session]:
        """A transaction: committed where the block ends, rolled back where it raises or is cancelled.

        The whole of it has the time that a single statement has.

        Raises:
            DbifyError: At either end, what the database said.
        """
        ...


class Requests(Protocol):
    """Where the record of each request goes."""

    def add(self, record: LogRecord) -> None:
        """Take a record; never blocks, never raises."""
        ...


NOTHING: Final = Result(b"", None, 0, 0)


class Entry:
    """What has become known of a request, for its record."""

    def __init__(self, request_id: str, client: str) -> None:
        self.request_id = request_id
        self.client = client
        self.identity = Identity(ProjectId(0), KeyId(""), "")
        self.operation = ""
        self.table = ""
        self.columns: tuple[str, ...] = ()
        self.result = NOTHING
        self._time_us = time.time_ns() // 1000
        self._started_ns = time.perf_counter_ns()

    def duration_us(self) -> int:
        """How long the request has taken so far."""
        return (time.perf_counter_ns() - self._started_ns) // 1000

    def record(self, status: int, error: str, duration_us: int, size_bytes: int) -> LogRecord:
        """The request's record."""
        return LogRecord(
            time_us=self._time_us,
            request_id=self.request_id,
            project=self.identity.project,
            key=self.identity.key,
            role=self.identity.role,
            operation=self.operation,
            table=self.table,
            columns=self.columns,
            status=status,
            error=error,
            duration_us=duration_us,
            database_us=self.result.database_us,
            rows=self.result.rows,
            size_bytes=size_bytes,
            coalesced=self.result.coalesced,
            client=self.client,
        )


Work: TypeAlias = Callable[[Session], Awaitable[Result]]
# Makes of an answer that is too large to be kept one that says which rows it was about.
Shorten: TypeAlias = Callable[[Result], Result]


class Keep(Protocol):
    """What happens just before the COMMIT of a write that is to be answered again."""

    async def __call__(self, session: Session, result: Result, shorten: Shorten) -> None:
        """Keep the result; raising rolls the transaction back."""
        ...


def count_only(result: Result) -> Result:
    """The answer without its data."""
    return msgspec.structs.replace(result, data=b"", count=result.rows)


class Context:
    """What a runner is handed besides the request.

    Runners reach the database by `run` and `transact` alone, so that an idempotency key works with each of them.
    """

    __slots__ = ("_databases", "_keep", "_schemas", "entry", "identity")

    def __init__(
        self, identity: Identity, schemas: Schemas, databases: Databases, entry: Entry, keep: Keep | None = None
    ) -> None:
        self.identity = identity
        self.entry = entry
        self._schemas = schemas
        self._databases = databases
        self._keep = keep

    def keeping(self, keep: Keep) -> "Context":
        """The same with something that happens before each COMMIT."""
        return Context(self.identity, self._schemas, self._databases, self.entry, keep)

    async def target(self) -> Target:
        """The project's database, and what its requests are held to."""
        return await self._databases.target(self.identity.project)

    async def planned(self, once: Callable[[Catalog], Awaitable[Result]]) -> Result:
        """Plan and run by the newest catalog; once more where that turns out to be older than the database.

        A statement that met another schema than it was planned for did nothing, so a write may be run again as well.
        """
        catalog = await self._schemas.current(self.identity.project)
        try:
            return await once(catalog)
        except DbifyError as error:
            if error.code not in _STALE:
                raise
            newer = await self._newer(catalog)
            if newer is None:
                raise
        return await once(newer)

    async def _newer(self, catalog: Catalog) -> Catalog | None:
        try:
            newer = await self._schemas.refresh(self.identity.project, catalog.version)
        except DbifyError:
            return None
        return newer if newer.version > catalog.version else None

    async def run(self, plan: Plan, shorten: Shorten = count_only) -> Result:
        """Run a single statement."""
        if self._keep is None or not plan.write:
            return await self._databases.run(self.identity.project, plan, self.identity.role)
        return await self.transact(lambda session: session.run(plan), shorten)

    async def transact(
        self,
        work: Work,
        shorten: Shorten = count_only,
        *,
        isolation: Isolation = "read committed",
        read_only: bool = False,
    ) -> Result:
        """Run `work` in a transaction; a second time where a statement on the connection was out of date."""
        try:
            return await self._transact(work, shorten, isolation, read_only=read_only)
        except DbifyError as error:
            if error.code is not Code.SCHEMA_CHANGED or error.details.get("sqlstate") != _OLD_STATEMENT:
                raise
        return await self._transact(work, shorten, isolation, read_only=read_only)

    async def _transact(self, work: Work, shorten: Shorten, isolation: Isolation, *, read_only: bool) -> Result:
        project = self.identity.project
        async with self._databases.transaction(project, isolation=isolation, read_only=read_only) as session:
            result = await work(session)
            if self._keep is not None and not read_only:
                await self._keep(session, result, shorten)
        return result


class Runner(Protocol):
    """One or more operations."""

    async def __call__(self, asked: Request, context: Context) -> Result:
        """Answer a request.

        Raises:
            DbifyError: What is wrong with it, or what the database said.
        """
        ...

    async def within(self, asked: Request, catalog: Catalog, session: Session, context: Context) -> "Step":
        """Answer it as a step of a batch, in the batch's transaction.

        Raises:
            DbifyError: As above, or INVALID_REQUEST where the operation is no step.
        """
        ...


class Step(msgspec.Struct, frozen=True):
    """What a step of a batch gave, and what it touched."""

    result: Result
    table: str = ""
    columns: tuple[str, ...] = ()
    shorten: Shorten = count_only


Runners: TypeAlias = Mapping[str, Runner]


def union(columns: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """All the columns, each once."""
    return tuple(dict.fromkeys(name for names in columns for name in names))
