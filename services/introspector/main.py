"""The introspector, wired."""

import asyncio
from contextlib import AsyncExitStack

from libs.common import health, postgres
from libs.common.addresses import Guard
from libs.common.bus import connect, method
from libs.common.ids import ProjectId, new_id
from libs.common.outbox import Relay
from libs.common.rpc import ChangeRequest, ChangesRequest, LookRequest, SnapshotRequest, WatchRequest
from libs.common.sealing import Keyring
from libs.common.streams import PROJECT_WATCHER
from libs.common.subjects import ACTIVITY
from services.introspector.adapters.catalog import Catalogs
from services.introspector.adapters.changes import Changes
from services.introspector.adapters.gateway import Gateway
from services.introspector.adapters.logger import Logger
from services.introspector.adapters.schedule import Schedule, Watched
from services.introspector.adapters.snapshots import SOURCE, Snapshots
from services.introspector.adapters.trigger import Triggers
from services.introspector.config import Config
from services.introspector.core.versions import Snapshot
from services.introspector.handlers.impact import Impacts
from services.introspector.handlers.look import MAX_LOOKS, Looks
from services.introspector.handlers.rounds import Rounds
from services.introspector.handlers.turns import Turns
from services.introspector.handlers.watch import Watch
from services.introspector.handlers.watching import Watching

# Every look holds a connection; the rest is for the relay, the schedule and for answering what is stored.
_CONNECTIONS = MAX_LOOKS + 6
# Fewer than looks, so that a project that is asked about need not wait until slow databases were tried.
_EVENTS = MAX_LOOKS // 2


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the introspector until `stop` is set; looks under way are finished, or taken again by whoever asked."""
    catalogs = Catalogs(Keyring.parse(config.master_key), Guard.parse(config.allow_networks))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            postgres.platform(config.database_url, "introspector", max_size=_CONNECTIONS)
        )
        turns = await stack.enter_async_context(Turns[tuple[ProjectId, str], Snapshot](MAX_LOOKS))
        bus = await stack.enter_async_context(connect(config.nats_url, "introspector"))
        gateway, snapshots, relay = Gateway(bus), Snapshots(pool), Relay(pool, bus, SOURCE)
        impacts, changes = Impacts(Logger(bus), gateway), Changes(pool)
        looks = Looks(gateway, catalogs, snapshots, impacts, turns, relay.nudge)
        rounds = Rounds(Schedule(pool), looks)
        watching = Watching(gateway, Triggers(catalogs), Watched(pool, new_id()), looks)
        await bus.serve(
            "introspector",
            {
                "look": method(LookRequest, looks.look),
                "snapshot": method(SnapshotRequest, looks.snapshot),
                "changes": method(ChangesRequest, changes.page),
                "change": method(ChangeRequest, changes.one),
                "watch": method(WatchRequest, watching.watch),
                "unwatch": method(WatchRequest, watching.unwatch),
                "watched": method(WatchRequest, watching.state),
            },
        )
        await bus.subscribe(ACTIVITY, rounds.hear)
        await bus.consume(PROJECT_WATCHER, Watch(snapshots, looks), batch=_EVENTS)
        checks = health.Health()
        checks.add("postgres", snapshots.check, required=True)
        checks.add("nats", gateway.check, required=True)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(health.serve(checks, config.host, config.health_port, stop))
            for work in (relay.run, rounds.run, watching.run):
                tasks.create_task(work(stop))
