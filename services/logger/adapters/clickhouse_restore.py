"""Rows that a crash took although their token is remembered.

A MergeTree writes a block's token to its deduplication log and then renames the block's part into place. A server
killed between the two has the token and not the rows, and drops their repetition in silence. Each table, and each
partition of it, has its own part, so each is looked at by itself. Replicated tables keep token and part in one
transaction.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from clickhouse_connect.driver.client import Client

from libs.common.logs import LogRecord

T = TypeVar("T")

_MINUTE_S = 60
_SECOND_US = 1_000_000

# The records themselves, found by the table's order first and the index on request_id then.
_THESE = """project IN {projects:Array(Int64)}
    AND time >= fromUnixTimestamp64Micro({first:Int64}, 'UTC') AND time <= fromUnixTimestamp64Micro({last:Int64}, 'UTC')
    AND request_id IN {requests:Array(UUID)}"""
_DAYS = f"""
SELECT DISTINCT toString(toDate(time)) FROM requests WHERE {_THESE}
"""  # noqa: S608 - the text of a constant
_STORED = """
SELECT project, toUnixTimestamp(toStartOfMinute(time)) AS minute, count()
FROM requests
WHERE project IN {projects:Array(Int64)}
    AND time >= toDateTime({first_minute:UInt32}, 'UTC') AND time < toDateTime({last_minute:UInt32} + 60, 'UTC')
GROUP BY project, minute
"""
_COUNTED = """
SELECT project, toUnixTimestamp(minute), sum(requests)
FROM minutes
WHERE project IN {projects:Array(Int64)}
    AND minute >= toDateTime({first_minute:UInt32}, 'UTC') AND minute <= toDateTime({last_minute:UInt32}, 'UTC')
GROUP BY project, minute
"""
_COUNT_AGAIN = f"""
INSERT INTO minutes
SELECT
    project, toStartOfMinute(time) AS minute, table_name, operation, count() AS requests,
    countIf(status >= 400) AS errors, sum(r.duration_us) AS duration_us,
    quantilesTDigestState(0.5, 0.95, 0.99)(r.duration_us) AS durations
FROM requests AS r
WHERE {_THESE}
GROUP BY project, minute, table_name, operation
"""  # noqa: S608 - the text of a constant


def lost_rows(client: Client, records: Sequence[LogRecord]) -> list[LogRecord]:
    """Those of the records, just inserted, that are not there: all of a day's or none."""
    days = {day for (day,) in client.query(_DAYS, _these(records)).result_rows}
    return [record for record in records if _day(record) not in days]


def lost_totals(client: Client, records: Sequence[LogRecord]) -> list[LogRecord]:
    """Those of the records that the totals lack: all of a month's or none.

    The totals lack them where, in each of their minutes, they count less than there are records by just these.
    """
    minutes = [_minute(record) for record in records]
    span = {"projects": _projects(records), "first_minute": min(minutes), "last_minute": max(minutes)}
    stored = _counts(client, _STORED, span)
    counted = _counts(client, _COUNTED, span)
    lost: list[LogRecord] = []
    for month in _grouped(records, _month):
        own = Counter((record.project, _minute(record)) for record in month)
        if all(stored[key] - counted[key] == number for key, number in own.items()):
            lost += month
    return lost


def count_again(client: Client, records: Sequence[LogRecord], settings: dict[str, str | int]) -> None:
    """Add records that are stored to the totals."""
    client.command(_COUNT_AGAIN, _these(records), settings=settings)


def _these(records: Sequence[LogRecord]) -> dict[str, object]:
    times = [record.time_us for record in records]
    return {
        "projects": _projects(records),
        "first": min(times),
        "last": max(times),
        "requests": [record.request_id for record in records],
    }


def _projects(records: Sequence[LogRecord]) -> list[int]:
    return sorted({record.project for record in records})


def _counts(client: Client, statement: str, parameters: dict[str, object]) -> "Counter[tuple[int, int]]":
    rows = client.query(statement, parameters).result_rows
    return Counter({(project, minute): number for project, minute, number in rows})


def _grouped(records: Sequence[LogRecord], key: Callable[[LogRecord], str]) -> Iterable[list[LogRecord]]:
    groups: dict[str, list[LogRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return groups.values()


def _minute(record: LogRecord) -> int:
    return record.time_us // _SECOND_US // _MINUTE_S * _MINUTE_S


def _day(record: LogRecord) -> str:
    return datetime.fromtimestamp(record.time_us // _SECOND_US, UTC).strftime("%Y-%m-%d")


def _month(record: LogRecord) -> str:
    return _day(record)[:7]
