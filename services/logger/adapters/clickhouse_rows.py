"""Records into ClickHouse."""

from collections.abc import Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from prometheus_client import Counter

from libs.common.logs import LogRecord
from services.logger.adapters import clickhouse_restore
from services.logger.adapters.clickhouse import WRITE_LIMIT_S, ClickHouse
from services.logger.handlers.writing import RefusedContentError

# Errors that come from the rows' own content, before anything is written (src/Common/ErrorCodes.cpp). Any other error
# may pass, so the message comes again.
_REFUSALS = {
    6: "CANNOT_PARSE_TEXT",
    53: "TYPE_MISMATCH",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    117: "INCORRECT_DATA",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    407: "DECIMAL_OVERFLOW",
    469: "VIOLATED_CONSTRAINT",
}

RESTORED = Counter("dbify_logger_restored_rows_total", "Rows put back that a crash of the store took.", ["table"])


class _Column(NamedTuple):
    name: str
    type: str


# The table's types are stated here, so that an insert does not have to ask for them first.
_COLUMNS = (
    _Column("project", "Int64"),
    _Column("time", "DateTime64(6, 'UTC')"),
    _Column("request_id", "UUID"),
    _Column("key_id", "LowCardinality(String)"),
    _Column("role", "LowCardinality(String)"),
    _Column("operation", "LowCardinality(String)"),
    _Column("table_name", "LowCardinality(String)"),
    _Column("columns", "Array(LowCardinality(String))"),
    _Column("status", "UInt16"),
    _Column("error_code", "LowCardinality(String)"),
    _Column("duration_us", "UInt64"),
    _Column("database_us", "UInt64"),
    _Column("rows", "UInt64"),
    _Column("size_bytes", "UInt64"),
    _Column("coalesced", "Bool"),
    _Column("client", "LowCardinality(String)"),
    _Column("restored", "Bool"),
)
_NAMES = [column.name for column in _COLUMNS]
_TYPES = [column.type for column in _COLUMNS]


class Rows:
    """Records as rows of `requests`; the totals follow by materialised view.

    Args:
        store: Where.
        replicated: Whether its tables are: they need no restoring.
    """

    def __init__(self, store: ClickHouse, *, replicated: bool) -> None:
        self._store = store
        self._replicated = replicated

    async def insert(self, records: Sequence[LogRecord], token: str, *, again: bool) -> None:
        """One INSERT, see `handlers.writing.Rows`."""

        def write(client: Client) -> None:
            _insert(client, records, token, restored=False)
            if again and not self._replicated:
                _restore(client, records, token)

        await self._store.write(write)


def _restore(client: Client, records: Sequence[LogRecord], token: str) -> None:
    """Put back what a crash took of records that were inserted before; under a token again, as it may happen twice."""
    again = f"{token}/restored"
    if rows := clickhouse_restore.lost_rows(client, records):
        # Marked, so that the view leaves them out: the totals have them, or get them next.
        _insert(client, rows, again, restored=True)
        RESTORED.labels("requests").inc(len(rows))
    if rows := clickhouse_restore.lost_totals(client, records):
        clickhouse_restore.count_again(client, rows, _settings(again))
        RESTORED.labels("minutes").inc(len(rows))


def _insert(client: Client, records: Sequence[LogRecord], token: str, *, restored: bool) -> None:
    try:
        client.insert(
            "requests",
            _columns(records, restored=restored),
            column_names=_NAMES,
            column_type_names=_TYPES,
            column_oriented=True,
            settings=_settings(token),
        )
    except DatabaseError as error:
        if error.code in _REFUSALS:
            raise RefusedContentError(_REFUSALS[error.code]) from error
        raise


def _settings(token: str) -> dict[str, str | int]:
    """What makes an INSERT happen once, in the table and in every total that a view derives from it."""
    return {
        "insert_deduplicate": 1,
        "insert_deduplication_token": token,
        "deduplicate_blocks_in_dependent_materialized_views": 1,
        "async_insert": 0,
        "max_execution_time": WRITE_LIMIT_S,
    }


def _columns(records: Sequence[LogRecord], *, restored: bool) -> list[list[object]]:
    """The records turned into columns, in the order of `_COLUMNS`."""
    rows = (
        (
            record.project,
            record.time_us,
            record.request_id,
            record.key,
            record.role,
            record.operation,
            record.table,
            record.columns,
            record.status,
            record.error,
            record.duration_us,
            record.database_us,
            record.rows,
            record.size_bytes,
            record.coalesced,
            record.client,
            restored,
        )
        for record in records
    )
    return [list(column) for column in zip(*rows, strict=True)]
