"""The gateway, wired."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from libs.common import health, postgres
from libs.common.addresses import Guard
from libs.common.bus import connect
from libs.common.ids import new_id
from libs.common.outbox import Relay
from libs.common.sealing import Keyring
from services.gateway.adapters.argon2 import Argon2
from services.gateway.adapters.attempts import Attempts
from services.gateway.adapters.databases import databases
from services.gateway.adapters.http.entry import Entry
from services.gateway.adapters.http.management import UseCases, management
from services.gateway.adapters.http.openapi import Readers
from services.gateway.adapters.http.server import serve
from services.gateway.adapters.http.tables import Tables
from services.gateway.adapters.http.who import Callers
from services.gateway.adapters.jetstream import Requests
from services.gateway.adapters.keys import Keys
from services.gateway.adapters.nats import Introspector, answer, listen
from services.gateway.adapters.postgres import SOURCE
from services.gateway.adapters.postgres.accounts import AccountRecords
from services.gateway.adapters.postgres.keys import KeyRecords
from services.gateway.adapters.postgres.projects import ProjectRecords
from services.gateway.adapters.postgres.queries import QueryRecords
from services.gateway.adapters.postgres.revocations import RevocationRecords
from services.gateway.adapters.queries import Queries
from services.gateway.adapters.redis import shared
from services.gateway.adapters.results import Results
from services.gateway.adapters.schemas import Schemas
from services.gateway.adapters.spool import spool
from services.gateway.adapters.targets import Sealer, Targets
from services.gateway.config import Config
from services.gateway.handlers.accounts import Accounts
from services.gateway.handlers.call import Call
from services.gateway.handlers.documents import Documents
from services.gateway.handlers.keys import ApiKeys
from services.gateway.handlers.logs import Logs
from services.gateway.handlers.projects import Projects
from services.gateway.handlers.query import Query
from services.gateway.handlers.run import Run
from services.gateway.handlers.saved import SavedQueries
from services.gateway.handlers.tables import Endpoints, KeysOrTokens

if TYPE_CHECKING:
    from services.gateway.handlers.running import Runner

# Apart from management's, so that looking up keys never waits for somebody's long list.
_KEY_CONNECTIONS = 4


async def run(config: Config, stop: asyncio.Event) -> None:
    """Run the gateway until `stop` is set, then finish requests under way and keep their records."""
    keyring, guard, process = Keyring.parse(config.master_key), Guard.parse(config.allow_networks), new_id()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(postgres.platform(config.database_url, "gateway"))
        key_pool = await enter(postgres.platform(config.database_url, "gateway", max_size=_KEY_CONNECTIONS))
        cache = await enter(shared(config.redis_url))
        bus = await enter(connect(config.nats_url, "gateway"))
        relay = Relay(pool, bus, SOURCE)
        records = ProjectRecords(pool, relay.nudge)
        keys = Keys(KeyRecords(key_pool, relay.nudge), RevocationRecords(key_pool), cache)
        introspector = Introspector(bus)
        schemas, targets = Schemas(records, introspector, cache), Targets(records, cache, keyring)
        held = await enter(databases(targets, cache))
        requests = Requests(bus, stack.enter_context(spool(Path(config.spool_dir), process)), process)
        bus.on_connect(requests.connected)
        await answer(bus, records)
        await listen(bus, schemas, targets)

        accounts = Accounts(AccountRecords(pool), Argon2(), Attempts(cache), config.signup)
        projects = Projects(records, Sealer(guard, keyring), introspector, schemas, targets, keys.settle)
        api_keys = ApiKeys(KeyRecords(pool, relay.nudge), keys.settle)
        checks = health.Health()
        checks.add("keys", keys.check, required=True)
        checks.add("postgres", records.check, required=False)
        checks.add("redis", cache.check, required=False)
        checks.add("nats", introspector.check, required=False)
        saved, callers = SavedQueries(QueryRecords(pool), held), Callers(accounts, config.public_url)
        more: dict[str, Runner] = {"run": Run(Queries(saved), Results(cache)), "call": Call()}
        query = Query(keys, schemas, held, requests, more=more)
        managed = Query(KeysOrTokens(keys, accounts, projects), schemas, held, requests, more=more)
        cases = UseCases(
            accounts, callers, projects, api_keys, schemas, Logs(bus), saved,
            Documents(schemas, saved, records), Readers(keys, callers, projects, config.public_url),
        )  # fmt: skip
        tables = Tables(Endpoints(query, managed, keys, schemas))
        entry = Entry(query, tables, management(cases), checks)
        served = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(query, entry, config.host, config.port, stop, served))
            for work in (requests.run, keys.watch, keys.publish, relay.run):
                tasks.create_task(work(served))
