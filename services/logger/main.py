"""The logger: request logs from NATS into ClickHouse, and what they add up to."""

import asyncio
import time
from contextlib import AsyncExitStack

from libs.common import health
from libs.common.bus import connect, method
from libs.common.logs import AnalyticsFilter, CallersQuestion, LogFilter
from libs.common.streams import LOG_WRITER
from services.logger.adapters.clickhouse import open_store
from services.logger.adapters.clickhouse_questions import Entries, Reports, Uses
from services.logger.adapters.clickhouse_rows import Rows
from services.logger.adapters.clickhouse_tables import migration
from services.logger.adapters.jetstream import DeadLetters
from services.logger.config import Config
from services.logger.handlers.reading import Figures, Logs, WhoCalled
from services.logger.handlers.writing import LogWriter


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the logger until `stop` is set, then finish the inserts under way and leave."""
    async with AsyncExitStack() as stack:
        cluster = config.clickhouse_cluster
        migrate = migration(log_days=config.log_days, analytics_days=config.analytics_days, cluster=cluster)
        store = await stack.enter_async_context(open_store(config.clickhouse_url, migrate))
        rows = Rows(store, replicated=bool(cluster))
        bus = await stack.enter_async_context(connect(config.nats_url, "logger"))
        dead_letters = DeadLetters(bus)
        # Several at once: while one message is inserted, the next ones are fetched and read.
        await bus.consume(LOG_WRITER, LogWriter(rows, dead_letters), batch=4)
        logs = Logs(Entries(store))
        figures = Figures(Reports(store, _now_us, log_days=config.log_days), _now_us)
        who_called = WhoCalled(Uses(store), _now_us)
        await bus.serve(
            "logger",
            {
                "logs": method(LogFilter, logs),
                "analytics": method(AnalyticsFilter, figures),
                "callers": method(CallersQuestion, who_called),
            },
        )

        checks = health.Health()
        checks.add("clickhouse", store.check, required=True)
        checks.add("nats", dead_letters.check, required=True)
        await health.serve(checks, config.host, config.health_port, stop)


def _now_us() -> int:
    return time.time_ns() // 1000
