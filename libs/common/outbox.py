"""The outbox: an event is written in the transaction that makes it true, and published once that has committed.

Each service that has one keeps it in its own schema:

    outbox(id uuid primary key, project bigint not null, sequence bigint not null, kind text not null,
           event bytea not null, created_at timestamptz not null default now())
    event_sequence(project bigint primary key, last bigint not null)
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy
from prometheus_client import Counter, Gauge

from libs.common import subjects
from libs.common.bus import Bus
from libs.common.errors import DbifyError
from libs.common.events import CloudEvent, EventData, schema_of, subject_of, type_of
from libs.common.ids import ProjectId, new_id
from libs.common.postgres import guarded
from libs.common.telemetry import log

_BATCH = 100
_PROJECTS = 200
_INTERVAL_S = 1.0
_MAX_WAIT_S = 10.0
# EVENTS takes 512 KiB with headers; what is larger could never be relayed and would hold up its project's events.
MAX_EVENT_BYTES = 500 * 1024

_TAKE_SEQUENCE = """
    INSERT INTO event_sequence AS held (project, last) VALUES ($1, 1)
    ON CONFLICT (project) DO UPDATE SET last = held.last + 1
    RETURNING last
"""
_INSERT = "INSERT INTO outbox (id, project, sequence, kind, event) VALUES ($1, $2, $3, $4, $5)"
_WAITING = """
    SELECT project, extract(epoch FROM now() - min(created_at))::float8 AS age_s
    FROM outbox GROUP BY project ORDER BY min(created_at) LIMIT $1
"""
# Held until the transaction ends, so it also works through a transaction pooler; the schema keeps services apart.
_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('outbox.' || current_schema(), $1))"
_NEXT = "SELECT id, kind, event FROM outbox WHERE project = $1 ORDER BY sequence LIMIT $2"
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::uuid[])"

_logger = logging.getLogger(__name__)
_relayed = Counter("dbify_outbox_relayed_events_total", "Events published from the outbox", ["source"])
_failed = Counter("dbify_outbox_failures_total", "Passes over the outbox that failed", ["source"])
_oldest = Gauge("dbify_outbox_oldest_event_seconds", "Age of the oldest event not yet published", ["source"])

Connection = asyncpg.Connection | PoolConnectionProxy


async def add(connection: Connection, source: str, project: ProjectId, data: EventData) -> str:
    """Write an event inside the caller's transaction.

    Events of one project take their sequence under a row lock that lasts until the transaction ends, so they are
    published in the order in which they became true, without a gap.

    Args:
        connection: The connection that holds the transaction.
        source: Which service says so, such as `dbify/gateway`.
        project: Whose event it is.
        data: The event.

    Returns:
        The event's id.

    Raises:
        ValueError: If the event is too large to travel.
    """
    identity = new_id()
    sequence = await connection.fetchval(_TAKE_SEQUENCE, project)
    event = CloudEvent(
        id=identity,
        source=source,
        type=type_of(type(data)),
        subject=subject_of(project, type(data)),
        time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        dataschema=schema_of(type(data)),
        projectid=project,
        sequence=sequence,
        data=data,
    )
    encoded = msgspec.json.encode(event)
    if len(encoded) > MAX_EVENT_BYTES:
        raise ValueError(f"a {data.kind} event of {len(encoded)} bytes is larger than the bus takes")
    await connection.execute(_INSERT, UUID(identity), project, sequence, data.kind, encoded)
    return identity


class Relay:
    """Publishes what the outbox holds, in order per project; any number of them may run at once.

    Args:
        pool: The pool on the schema with the outbox.
        bus: Where the events go.
        source: Whose outbox it is, for the metrics.
    """

    def __init__(self, pool: asyncpg.Pool, bus: Bus, source: str) -> None:
        self._pool = pool
        self._bus = bus
        self._source = source
        self._nudged = asyncio.Event()
        self._said = False

    def nudge(self) -> None:
        """Look now: an event was just committed."""
        self._nudged.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until `stop` is set; what is left then stays in the outbox for the next start."""
        wait_s = _INTERVAL_S
        while not stop.is_set():
            await self._wait(stop, wait_s)
            if not self._bus.connected:
                continue
            try:
                more = await self._relay(stop)
            except DbifyError as error:
                wait_s = min(max(wait_s, _INTERVAL_S) * 2, _MAX_WAIT_S)
                self._fail(error.message)
            except (ValueError, asyncpg.PostgresError) as error:
                # A defect or a missing migration; a relay that ended here would be missed by nobody until too late.
                wait_s = _MAX_WAIT_S
                self._fail(f"{type(error).__name__}: {error}")
            else:
                wait_s = 0 if more else _INTERVAL_S
                self._said = False

    async def _wait(self, stop: asyncio.Event, wait_s: float) -> None:
        """Until the time is over, a nudge comes, or it is time to stop."""
        waits = [asyncio.ensure_future(event.wait()) for event in (stop, self._nudged)]
        try:
            await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
                with suppress(asyncio.CancelledError):
                    await wait
        self._nudged.clear()

    async def _relay(self, stop: asyncio.Event) -> bool:
        """One pass over the projects with events; whether there is more to do at once."""
        with guarded():
            waiting = await self._pool.fetch(_WAITING, _PROJECTS)
            _oldest.labels(self._source).set(waiting[0]["age_s"] if waiting else 0)
            more = len(waiting) == _PROJECTS
            for row in waiting:
                if stop.is_set():
                    return False
                more |= await self._relay_project(row["project"]) == _BATCH
        return more

    async def _relay_project(self, project: int) -> int:
        """Publish a project's oldest events, unless another relay is at it; how many were published."""
        published: list[UUID] = []
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_LOCK, project):
                return 0
            try:
                for row in await connection.fetch(_NEXT, project, _BATCH):
                    subject = subjects.event(ProjectId(project), row["kind"])
                    await self._bus.publish(subject, row["event"], message_id=str(row["id"]))
                    published.append(row["id"])
            except DbifyError:
                # What was acknowledged is deleted all the same, below; the rest keeps its order.
                if not published:
                    raise
            await connection.execute(_DELETE, published)
        _relayed.labels(self._source).inc(len(published))
        return len(published)

    def _fail(self, reason: str) -> None:
        """Count it, and say it once until it goes well again."""
        _failed.labels(self._source).inc()
        if not self._said:
            log(_logger, "events wait in the outbox", level=logging.WARNING, source=self._source, reason=reason)
        self._said = True
