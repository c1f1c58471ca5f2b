"""The logger: request logs from NATS into ClickHouse, and what they add up to."""

import asyncio
import time
from contextlib import AsyncExitStack

from libs.common import health
from libs.common.bus import connect, method
from libs.common.errors import Code, DbifyError
from libs.common.logs import AnalyticsFilter, LogFilter
from libs.common.streams import LOG_WRITER
from services.logger.adapters.clickhouse import open_store
from services.logger.adapters.clickhouse_questions import Entries, Reports
from services.logger.adapters.clickhouse_rows import Rows
from services.logger.adapters.clickhouse_tables import migration
from services.logger.adapters.jetstream import DeadLetters
from services.logger.config import Config
from services.logger.handlers.reading import Figures, Logs
from services.logger.handlers.writing import LogWriter


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the logger until `stop` is set, then finish the inserts under way and leave."""
    async with AsyncExitStack() as stack:
        migrate = migration(
            log_days=config.log_days, analytics_days=config.analytics_days, cluster=config.clickhouse_cluster
        )
        store = await stack.enter_async_context(open_store(config.clickhouse_url, migrate))
        bus = await stack.enter_async_context(connect(config.nats_url, "logger"))
        # Several at once: while one message is inserted, the next is fetched and read.
        await bus.consume(LOG_WRITER, LogWriter(Rows(store), DeadLetters(bus)), batch=4)
        logs = Logs(Entries(store))
        figures = Figures(Reports(store, _now_us, log_days=config.log_days), _now_us)
        await bus.serve("logger", {"logs": method(LogFilter, logs), "analytics": method(AnalyticsFilter, figures)})

        async def nats() -> None:
            if not bus.connected:
                raise DbifyError(Code.SERVICE_UNAVAILABLE, "There is no connection to NATS.")

        checks = health.Health()
        checks.add("clickhouse", store.check, required=True)
        checks.add("nats", nats, required=True)
        await health.serve(checks, config.host, config.health_port, stop)


def _now_us() -> int:
    return time.time_ns() // 1000
