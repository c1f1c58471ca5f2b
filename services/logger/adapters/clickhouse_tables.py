"""ClickHouse's tables: numbered statements, each file applied once and recorded."""

import re
from collections.abc import Callable
from pathlib import Path
from string import Template

from clickhouse_connect.driver.client import Client

MIGRATIONS = Path(__file__).parent.parent / "migrations"
# In blocks, that is messages; an hour of ten gateways at one message a second each.
DEDUPLICATION_WINDOW = 40_000
_END = re.compile(r";\s*$", re.MULTILINE)

_RECORDS = """
CREATE TABLE IF NOT EXISTS migrations ${on_cluster}
(
    name String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ${merge_tree}
ORDER BY name
"""
_LIFETIMES = (
    ("requests", "toDateTime(time)", "log_days"),
    ("minutes", "minute", "analytics_days"),
)


def migration(*, log_days: int, analytics_days: int, cluster: str = "") -> Callable[[Client], None]:
    """What brings a store's tables up to date.

    Args:
        log_days: How long records are kept.
        analytics_days: How long per-minute totals are kept.
        cluster: Its name, for replicated tables; "" for a single server.
    """
    words = {"log_days": str(log_days), "analytics_days": str(analytics_days), **_engines(cluster)}

    def migrate(client: Client) -> None:
        client.command(Template(_RECORDS).substitute(words))
        applied = {name for (name,) in client.query("SELECT name FROM migrations").result_rows}
        for file in sorted(MIGRATIONS.glob("*.sql")):
            if file.stem not in applied:
                for statement in _statements(file):
                    client.command(Template(statement).substitute(words))
                client.insert("migrations", [[file.stem]], column_names=["name"], column_type_names=["String"])
        for table, time, days in _LIFETIMES:
            _keep(client, table, time, words[days], words["on_cluster"])

    return migrate


def _engines(cluster: str) -> dict[str, str]:
    """The words that differ between a single server and a cluster, whose tables are replicated."""
    prefix = "replicated" if cluster else "non_replicated"
    return {
        "on_cluster": f"ON CLUSTER '{cluster}'" if cluster else "",
        "merge_tree": "ReplicatedMergeTree" if cluster else "MergeTree",
        "aggregating_merge_tree": "ReplicatedAggregatingMergeTree" if cluster else "AggregatingMergeTree",
        "window": f"{prefix}_deduplication_window = {DEDUPLICATION_WINDOW}",
    }


def _statements(file: Path) -> list[str]:
    return [statement for statement in _END.split(file.read_text()) if statement.strip()]


def _keep(client: Client, table: str, time: str, days: str, on_cluster: str) -> None:
    """Change how long a table's rows are kept, where that is another time than before."""
    definition = client.command(
        "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    if f"toIntervalDay({days})" not in str(definition):
        client.command(f"ALTER TABLE {table} {on_cluster} MODIFY TTL {time} + toIntervalDay({days})")
