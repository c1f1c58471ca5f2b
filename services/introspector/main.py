"""The introspector, wired."""

import asyncio
from contextlib import AsyncExitStack

from libs.common import health, postgres
from libs.common.addresses import Guard
from libs.common.bus import connect, method
from libs.common.outbox import Relay
from libs.common.rpc import LookRequest, SnapshotRequest
from libs.common.sealing import Keyring
from libs.common.streams import PROJECT_WATCHER
from services.introspector.adapters.catalog import Catalogs
from services.introspector.adapters.gateway import Gateway
from services.introspector.adapters.snapshots import SOURCE, Snapshots
from services.introspector.config import Config
from services.introspector.handlers.look import MAX_LOOKS, Looks
from services.introspector.handlers.watch import Watch

# Every look holds a connection; the rest is for the relay and for answering stored snapshots.
_CONNECTIONS = MAX_LOOKS + 4


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the introspector until `stop` is set; looks under way are finished, or taken again by whoever asked."""
    catalogs = Catalogs(Keyring.parse(config.master_key), Guard.parse(config.allow_networks))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            postgres.platform(config.database_url, "introspector", max_size=_CONNECTIONS)
        )
        bus = await stack.enter_async_context(connect(config.nats_url, "introspector"))
        snapshots, relay = Snapshots(pool), Relay(pool, bus, SOURCE)
        looks = Looks(Gateway(bus), catalogs, snapshots, relay.nudge)
        await bus.serve(
            "introspector", {"look": method(LookRequest, looks.look), "snapshot": method(SnapshotRequest, looks.snapshot)}
        )
        await bus.consume(PROJECT_WATCHER, Watch(snapshots, looks), batch=4)
        checks = health.Health()
        checks.add("postgres", snapshots.check, required=True)
        checks.add("nats", bus.check, required=True)
        await asyncio.gather(health.serve(checks, config.host, config.health_port, stop), relay.run(stop))
