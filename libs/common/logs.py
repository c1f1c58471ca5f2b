"""The record of a request, as the gateway publishes it and the logger stores it. Never a value, never a secret."""

import msgspec

from libs.common.ids import ProjectId

BATCH_FORMAT = 1
MAX_RECORDS = 1_000
MAX_BATCH_BYTES = 512 * 1024


class LogRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One request through `POST /query`.

    Attributes:
        time_us: When it arrived, microseconds since 1970 in UTC.
        request_id: A UUID as text, the answer's X-Request-Id.
        project: The project, or 0 where the key was not recognised.
        key: The key's id, "" where it was not recognised.
        role: The key's role, "" for read-write.
        operation: "read", "create", ..., "" where the request could not be read.
        table: `schema.table` as resolved, "" where it was not.
        columns: The columns the request named.
        status: The HTTP status.
        error: The error code, "" for success.
        duration_us: From the body's arrival to the answer's last byte being ready.
        database_us: The part of it spent waiting for the database.
        rows: Rows read or written.
        size_bytes: The answer's size.
        coalesced: Whether it shared a statement with others.
        client: The client's address class: "loopback", "private" or "public".
    """

    time_us: int
    request_id: str
    project: ProjectId
    key: str
    role: str
    operation: str
    table: str
    columns: tuple[str, ...]
    status: int
    error: str
    duration_us: int
    database_us: int
    rows: int
    size_bytes: int
    coalesced: bool
    client: str


class LogBatch(msgspec.Struct, frozen=True):
    """The body of a message on `dbify.logs.<gateway>`, as MessagePack: the unit that is inserted, never regrouped."""

    format: int
    gateway: str
    records: tuple[LogRecord, ...]


class LogFilter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `dbify.rpc.logger.logs` is asked: newest first; `after` is the previous page's `nextCursor`.

    Times are RFC 3339 in UTC; `from_time` is included, `to_time` is not.
    """

    project_id: ProjectId
    from_time: str | None = None
    to_time: str | None = None
    table_name: str | None = None
    operation: str | None = None
    status: int | None = None
    status_class: int | None = None
    error_code: str | None = None
    key_id: str | None = None
    request_id: str | None = None
    limit: int = 50
    after: str | None = None


class LogEntry(msgspec.Struct, frozen=True, rename="camel"):
    """A request as `GET /v1/projects/{id}/logs` shows it."""

    request_id: str
    time: str
    operation: str
    table_name: str
    columns: list[str]
    status: int
    error_code: str | None
    duration_ms: float
    database_ms: float
    rows: int
    bytes: int
    coalesced: bool
    key_id: str
    role: str
    client: str


class LogPage(msgspec.Struct, frozen=True, rename="camel"):
    """A page of log entries; `next_cursor` is null on the last one."""

    data: list[LogEntry]
    next_cursor: str | None


class AnalyticsFilter(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What `dbify.rpc.logger.analytics` is asked; the last 24 hours where no time is given.

    `step_s` is the series' bucket in seconds, a multiple of 60; chosen by the span where it is not given.
    """

    project_id: ProjectId
    from_time: str | None = None
    to_time: str | None = None
    table_name: str | None = None
    operation: str | None = None
    step_s: int | None = None


class Totals(msgspec.Struct, frozen=True, rename="camel"):
    """Requests of one bucket, table or operation; times are milliseconds, null where there was no request."""

    requests: int
    errors: int
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class Bucket(Totals, frozen=True, rename="camel", kw_only=True):
    """A step of the series; `time` is when it starts."""

    time: str


class ByTable(Totals, frozen=True, rename="camel", kw_only=True):
    """Requests to one table."""

    table_name: str


class ByOperation(Totals, frozen=True, rename="camel", kw_only=True):
    """Requests of one operation."""

    operation: str


class Analytics(Totals, frozen=True, rename="camel", kw_only=True):
    """The answer of `GET /v1/projects/{id}/analytics`; `errors` counts statuses from 400 on."""

    series: list[Bucket]
    by_table: list[ByTable]
    by_operation: list[ByOperation]


class ColumnUse(msgspec.Struct, frozen=True, rename="camel"):
    """A column of a table, `schema.table`."""

    table: str
    column: str


class CallersQuestion(msgspec.Struct, frozen=True, rename="camel"):
    """What `dbify.rpc.logger.callers` is asked: which keys used one of these tables or columns of late."""

    project_id: ProjectId
    tables: list[str]
    columns: list[ColumnUse]
    days: int = 7


class Caller(msgspec.Struct, frozen=True, rename="camel"):
    """A key and how often it used them.

    Attributes:
        requests: Those to one of the tables, those that named one of the columns, and reads of a column's table, which
            may have been answered with it.
        named: The same without those reads.
        last_used: RFC 3339 in UTC.
    """

    key_id: str
    requests: int
    named: int
    last_used: str


class Callers(msgspec.Struct, frozen=True, rename="camel"):
    """The keys with most requests first, at most 100 of them."""

    data: list[Caller]
