"""The hot path: a request's bytes in, an answer's bytes out."""

import asyncio
import logging
import time
from typing import Final, NamedTuple, Protocol

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import KeyId, ProjectId
from libs.common.logs import LogRecord
from services.gateway.core.answer import failure, success
from services.gateway.core.catalog import Catalog, Relation
from services.gateway.core.plan import Plan, plan
from services.gateway.core.request import Request, credentials, read, request

_logger = logging.getLogger(__name__)

# What a snapshot that is out of date looks like: from the planner, and from the database.
_STALE: Final = frozenset({Code.TABLE_NOT_FOUND, Code.COLUMN_NOT_FOUND, Code.SCHEMA_CHANGED})
# nginx's status for a client that left before its answer.
_CLIENT_LEFT: Final = 499


class Identity(msgspec.Struct, frozen=True):
    """Who asks: a key of a project."""

    project: ProjectId
    key: KeyId
    role: str


class Result(msgspec.Struct, frozen=True):
    """What a plan's statement gave: `data` is b"" where the answer has none."""

    data: bytes
    count: int | None
    rows: int
    database_us: int


class Response(NamedTuple):
    """An HTTP answer, free of any server's types."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Keys(Protocol):
    """Which key is whose."""

    async def identify(self, api_key: str, project: int | None) -> Identity:
        """Whose key this is; a project that is named must be the key's own.

        Raises:
            DbifyError: INVALID_API_KEY, or KEY_UNVERIFIABLE where it cannot be checked at the moment.
        """
        ...


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


class Databases(Protocol):
    """The users' databases."""

    async def run(self, project: ProjectId, plan: Plan) -> Result:
        """Run a plan's statement.

        Raises:
            DbifyError: RESULT_TOO_LARGE, SCHEMA_CHANGED, or what the database said.
        """
        ...


class Requests(Protocol):
    """Where the record of each request goes."""

    def add(self, record: LogRecord) -> None:
        """Take a record; never blocks, never raises."""
        ...


class _Entry:
    """What has become known of a request, for its record."""

    def __init__(self, request_id: str, client: str) -> None:
        self.request_id = request_id
        self.client = client
        self.identity = Identity(ProjectId(0), KeyId(""), "")
        self.operation = ""
        self.relation: Relation | None = None
        self.plan: Plan | None = None
        self.result = _NOTHING
        self._time_us = time.time_ns() // 1000
        self._started_ns = time.perf_counter_ns()

    def duration_us(self) -> int:
        return (time.perf_counter_ns() - self._started_ns) // 1000

    def record(self, status: int, error: str, duration_us: int, size_bytes: int) -> LogRecord:
        return LogRecord(
            time_us=self._time_us,
            request_id=self.request_id,
            project=self.identity.project,
            key=self.identity.key,
            role=self.identity.role,
            operation=self.operation,
            table=self.relation.name if self.relation else "",
            columns=self.plan.columns if self.plan else (),
            status=status,
            error=error,
            duration_us=duration_us,
            database_us=self.result.database_us,
            rows=self.result.rows,
            size_bytes=size_bytes,
            coalesced=False,
            client=self.client,
        )


_NOTHING: Final = Result(b"", None, 0, 0)


class Query:
    """`POST /query`."""

    def __init__(self, keys: Keys, schemas: Schemas, databases: Databases, requests: Requests) -> None:
        self._keys = keys
        self._schemas = schemas
        self._databases = databases
        self._requests = requests

    async def __call__(self, body: bytes, authorization: str | None, request_id: str, client: str) -> Response:
        """Answer a request, and record it.

        Args:
            body: The request's body.
            authorization: Its Authorization header.
            request_id: A UUIDv7, which the answer and the record carry.
            client: The client's address class.
        """
        entry = _Entry(request_id, client)
        status, error_code = 200, ""
        try:
            answer = await self._answer(body, authorization, entry)
        except DbifyError as error:
            status, error_code, answer = error.code.status, error.code.name, failure(error, request_id)
        except asyncio.CancelledError:
            self._requests.add(entry.record(_CLIENT_LEFT, "", entry.duration_us(), 0))
            raise
        except Exception:
            _logger.exception("a request failed", extra={"fields": {"request_id": request_id}})
            defect = DbifyError(Code.INTERNAL_ERROR, "A defect in Dbify. The request id finds it in the logs.")
            status, error_code, answer = defect.code.status, defect.code.name, failure(defect, request_id)
        duration_us = entry.duration_us()
        self._requests.add(entry.record(status, error_code, duration_us, len(answer)))
        return Response(status, _headers(request_id, duration_us, entry.result.database_us), answer)

    async def _answer(self, body: bytes, authorization: str | None, entry: _Entry) -> bytes:
        fields = read(body)
        given = credentials(fields, authorization)
        entry.identity = await self._keys.identify(given.api_key, given.project)
        asked = request(fields)
        entry.operation = asked.operation
        entry.result = await self._run(asked, entry)
        return success(entry.result.data, entry.result.count)

    async def _run(self, asked: Request, entry: _Entry) -> Result:
        """Plan and run; once more where the snapshot turns out to be older than the database.

        A statement that met another schema than it was planned for did nothing, so a write may be run again as well.
        """
        project = entry.identity.project
        catalog = await self._schemas.current(project)
        try:
            return await self._once(asked, catalog, entry)
        except DbifyError as error:
            if error.code not in _STALE:
                raise
            newer = await self._newer(project, catalog)
            if newer is None:
                raise
        return await self._once(asked, newer, entry)

    async def _newer(self, project: ProjectId, catalog: Catalog) -> Catalog | None:
        try:
            newer = await self._schemas.refresh(project, catalog.version)
        except DbifyError:
            return None
        return newer if newer.version > catalog.version else None

    async def _once(self, asked: Request, catalog: Catalog, entry: _Entry) -> Result:
        entry.relation = catalog.resolve(asked.table)
        entry.plan = plan(asked, entry.relation)
        return await self._databases.run(entry.identity.project, entry.plan)


def _headers(request_id: str, duration_us: int, database_us: int) -> tuple[tuple[str, str], ...]:
    timing = f"total;dur={duration_us / 1000:.2f}, db;dur={database_us / 1000:.2f}"
    return ("Content-Type", "application/json"), ("X-Request-Id", request_id), ("Server-Timing", timing)
