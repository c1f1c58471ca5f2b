"""Questions answered from ClickHouse. Values travel as parameters, never as text of the statement."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from libs.common.ids import ProjectId
from libs.common.logs import LogRecord
from services.logger.adapters.clickhouse import READ_LIMIT_S, ClickHouse
from services.logger.core.answers import NOTHING, Figures, Report, Use
from services.logger.core.questions import AnalyticsQuestion, LogQuestion, UseQuestion

# Exact percentiles hold every duration in memory, 8 bytes a request and breakdown: 64 MB at this number.
EXACT_REQUESTS = 2_000_000
# A statement's memory, several times what EXACT_REQUESTS needs.
_MEMORY_BYTES = 1024**3
_SETTINGS = {"max_execution_time": READ_LIMIT_S, "max_memory_usage": _MEMORY_BYTES, "readonly": 2}
_DAY_US = 86_400_000_000
_MINUTE_US = 60_000_000
# What DateTime can hold: the year 2106.
_LATEST_MINUTE_S = 2**32 - 1
# Statuses, as a half-open range, that stand for "any".
_ANY_STATUS = (0, 1_000)

_RECORDS = """
SELECT
    toUnixTimestamp64Micro(time), toString(request_id), project, key_id, role, operation, table_name, columns, status,
    error_code, duration_us, database_us, rows, size_bytes, coalesced, client
FROM requests
WHERE {conditions}
ORDER BY project DESC, time DESC, request_id DESC
LIMIT {{limit:UInt32}}
"""
# What the totals know of a time span: how many requests, and when the earliest was.
_EXTENT = """
SELECT sum(requests), min(toUnixTimestamp(minute))
FROM minutes
WHERE {conditions}
"""
_FROM_REQUESTS = """
SELECT
    NOT grouping(bucket), NOT grouping(table_name), NOT grouping(operation), bucket, table_name, operation,
    count(), countIf(status >= 400), sum(duration_us), quantilesExactInclusive(0.5, 0.95, 0.99)(duration_us)
FROM
(
    SELECT
        intDiv(toUnixTimestamp(time), {{step:UInt32}}) * {{step:UInt32}} AS bucket,
        table_name, operation, status, duration_us
    FROM requests
    WHERE {conditions}
)
GROUP BY GROUPING SETS ((), (bucket), (table_name), (operation))
"""
_FROM_MINUTES = """
SELECT
    NOT grouping(bucket), NOT grouping(table_name), NOT grouping(operation), bucket, table_name, operation,
    sum(requests), sum(errors), sum(duration_us), quantilesTDigestMerge(0.5, 0.95, 0.99)(durations)
FROM
(
    SELECT
        intDiv(toUnixTimestamp(minute), {{step:UInt32}}) * {{step:UInt32}} AS bucket,
        table_name, operation, requests, errors, duration_us, durations
    FROM minutes
    WHERE {conditions}
)
GROUP BY GROUPING SETS ((), (bucket), (table_name), (operation))
"""
# A read of a column's table may have been answered with the column, whether it named it or not.
_CALLERS = """
SELECT
    key_id, count(), countIf(whole OR names), toUnixTimestamp64Micro(max(time))
FROM
(
    SELECT
        key_id, time,
        has({{tables:Array(String)}}, table_name) AS whole,
        hasAny(arrayMap(name -> (table_name, name), columns),
               arrayZip({{used_tables:Array(String)}}, {{used_columns:Array(String)}})) AS names,
        operation = 'read' AND has({{used_tables:Array(String)}}, table_name) AS reads
    FROM requests
    WHERE {conditions}
)
WHERE (whole OR names OR reads) AND key_id != ''
GROUP BY key_id
ORDER BY countIf(whole OR names) DESC, count() DESC, key_id
LIMIT {{limit:UInt32}}
"""

_PROJECT = "project = {project:Int64}"
# Unqualified, a name means that table in any schema.
_TABLE = "(table_name = {table:String} OR substring(table_name, position(table_name, '.') + 1) = {table:String})"
_OPERATION = "operation = {operation:String}"
_TIMES = """time >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Micro({end:Int64}, 'UTC')"""
_SINCE = "time >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')"
_MINUTES = "minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')"
_STATUS = "status >= {status_from:UInt16} AND status < {status_to:UInt16}"
_ERROR = "error_code = {error:String}"
_KEY = "key_id = {key:String}"
_REQUEST = "request_id = {request:UUID}"
_AFTER = """(time, request_id) < (fromUnixTimestamp64Micro({after_time:Int64}, 'UTC'), {after_id:UUID})
    AND time <= fromUnixTimestamp64Micro({after_time:Int64}, 'UTC')"""


class _Where(NamedTuple):
    """Conditions joined by AND, with their parameters."""

    conditions: str
    parameters: dict[str, object]


class Entries:
    """Log entries from `requests`."""

    def __init__(self, store: ClickHouse) -> None:
        self._store = store

    async def find(self, question: LogQuestion, limit: int) -> Sequence[LogRecord]:
        """The newest `limit` records that answer the question."""
        where = _entries(question)
        statement = _RECORDS.format(conditions=where.conditions)
        parameters = {**where.parameters, "limit": limit}
        result = await self._store.read(lambda client: client.query(statement, parameters, settings=_SETTINGS))
        return [_record(row) for row in result.result_rows]


class Uses:
    """Who used tables and columns, from `requests`."""

    def __init__(self, store: ClickHouse) -> None:
        self._store = store

    async def find(self, question: UseQuestion, limit: int) -> Sequence[Use]:
        """The keys that did, those first that did most."""
        where = _where({_PROJECT: {"project": question.project}, _SINCE: {"start": question.start_us}})
        parameters = {
            **where.parameters,
            "tables": list(question.tables),
            "used_tables": [use.table for use in question.columns],
            "used_columns": [use.column for use in question.columns],
            "limit": limit,
        }
        statement = _CALLERS.format(conditions=where.conditions)
        result = await self._store.read(lambda client: client.query(statement, parameters, settings=_SETTINGS))
        return [Use(*row) for row in result.result_rows]


class Reports:
    """Figures, exact where the requests themselves can be gone through, else from the per-minute totals.

    Both are the same numbers of requests, errors and averages. Percentiles of requests interpolate between neighbours,
    as `percentile_cont` in Postgres and `numpy.percentile` do; those of totals are t-digest estimates of the same.
    """

    def __init__(
        self,
        store: ClickHouse,
        now_us: Callable[[], int],
        *,
        log_days: int,
        exact_requests: int = EXACT_REQUESTS,
    ) -> None:
        self._store = store
        self._now_us = now_us
        # Records are dropped by whole days: the oldest day may be gone already.
        self._kept_us = (log_days - 1) * _DAY_US
        self._exact_requests = exact_requests

    async def report(self, question: AnalyticsQuestion) -> Report:
        """Count and measure what the question asks for."""
        kept_since_us = self._now_us() - self._kept_us

        def ask(client: Client) -> Report:
            minutes = _minutes(question)
            extent = client.query(_EXTENT.format(conditions=minutes.conditions), minutes.parameters, settings=_SETTINGS)
            requests, earliest_s = extent.result_rows[0]
            exact = requests <= self._exact_requests and earliest_s * 1_000_000 >= kept_since_us
            where = _requests(question) if exact else minutes
            statement = (_FROM_REQUESTS if exact else _FROM_MINUTES).format(conditions=where.conditions)
            parameters = {**where.parameters, "step": question.step_s}
            return _report(client.query(statement, parameters, settings=_SETTINGS).result_rows)

        return await self._store.read(ask)


def _scope(project: ProjectId, table_name: str | None, operation: str | None) -> dict[str, dict[str, object]]:
    """Conditions that every question may have; the project always."""
    chosen: dict[str, dict[str, object]] = {_PROJECT: {"project": project}}
    if table_name is not None:
        chosen[_TABLE] = {"table": table_name}
    if operation is not None:
        chosen[_OPERATION] = {"operation": operation}
    return chosen


def _requests(question: AnalyticsQuestion) -> _Where:
    chosen = _scope(question.project, question.table_name, question.operation)
    return _where({**chosen, _TIMES: {"start": question.start_us, "end": question.end_us}})


def _minutes(question: AnalyticsQuestion) -> _Where:
    """Whole minutes: those that the span touches."""
    chosen = _scope(question.project, question.table_name, question.operation)
    start_s = min(question.start_us // _MINUTE_US * 60, _LATEST_MINUTE_S)
    end_s = min(-(-question.end_us // 1_000_000), _LATEST_MINUTE_S)
    return _where({**chosen, _MINUTES: {"start": start_s, "end": end_s}})


def _entries(question: LogQuestion) -> _Where:
    chosen = _scope(question.project, question.table_name, question.operation)
    chosen[_TIMES] = {"start": question.start_us, "end": question.end_us}
    if question.statuses != _ANY_STATUS:
        chosen[_STATUS] = {"status_from": question.statuses[0], "status_to": question.statuses[1]}
    if question.error_code is not None:
        chosen[_ERROR] = {"error": question.error_code}
    if question.key_id is not None:
        chosen[_KEY] = {"key": question.key_id}
    if question.request_id is not None:
        chosen[_REQUEST] = {"request": question.request_id}
    if question.after is not None:
        chosen[_AFTER] = {"after_time": question.after.time_us, "after_id": question.after.request_id}
    return _where(chosen)


def _where(chosen: Mapping[str, Mapping[str, object]]) -> _Where:
    parameters = {name: value for values in chosen.values() for name, value in values.items()}
    return _Where("\n    AND ".join(chosen), parameters)


def _record(row: Sequence[object]) -> LogRecord:
    return LogRecord(*row)  # type: ignore[arg-type]  # the statement's columns are the record's fields, in their order


def _report(rows: Sequence[Sequence[object]]) -> Report:
    """Sort the rows by what they are grouped by: `grouping` is 1 for a column that is not in the row's set."""
    total = NOTHING
    buckets: dict[int, Figures] = {}
    tables: dict[str, Figures] = {}
    operations: dict[str, Figures] = {}
    for by_bucket, by_table, by_operation, bucket, table, operation, *sums in rows:
        figures = Figures(*sums)  # type: ignore[arg-type]  # the statement's last four columns are the figures
        if by_bucket:
            buckets[int(bucket)] = figures  # type: ignore[call-overload]  # an integer column
        elif by_table:
            tables[str(table)] = figures
        elif by_operation:
            operations[str(operation)] = figures
        else:
            total = figures
    return Report(total, buckets, tables, operations)
