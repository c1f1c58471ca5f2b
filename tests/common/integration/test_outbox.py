import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import nats
import pytest

from libs.common import bus, outbox, postgres
from libs.common.access import inbox
from libs.common.bus import Bus
from libs.common.events import CloudEvent, EventData, KeyRevoked, ProjectCreated, ProjectDeleted
from libs.common.ids import ProjectId
from libs.common.outbox import Relay
from stack.embedded import Nats, Postgres
from tests.common.waiting import until

SOURCE = "dbify/gateway"
TABLES = """
    CREATE SCHEMA gateway;
    CREATE TABLE gateway.outbox (
        id uuid PRIMARY KEY, project bigint NOT NULL, sequence bigint NOT NULL, kind text NOT NULL,
        event bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE TABLE gateway.event_sequence (project bigint PRIMARY KEY, last bigint NOT NULL);
"""


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    connection = await asyncpg.connect(database)
    await connection.execute(TABLES)
    await connection.close()
    async with postgres.platform(database, "gateway") as pool:
        yield pool


@pytest.fixture
async def gateway(nats_server: Nats) -> AsyncIterator[Bus]:
    async with bus.connect(nats_server.url("gateway"), "gateway") as gateway:
        await until(lambda: gateway.connected)
        yield gateway


async def add(pool: asyncpg.Pool, project: int, data: EventData, *, commit: bool = True) -> str:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        identity = await outbox.add(connection, SOURCE, ProjectId(project), data)
        await (transaction.commit() if commit else transaction.rollback())
    return identity


@asynccontextmanager
async def relaying(*relays: Relay) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(relay.run(stop)) for relay in relays]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def empty(pool: asyncpg.Pool) -> bool:
    return not await pool.fetch("SELECT id FROM outbox LIMIT 1")


async def published(server: Nats) -> list[tuple[str, CloudEvent[EventData], str]]:
    connection = await nats.connect(server.url("admin"), inbox_prefix=inbox("admin").encode())
    try:
        jetstream = connection.jetstream()
        state = (await jetstream.stream_info("EVENTS")).state
        found = []
        for sequence in range(1, state.last_seq + 1):
            message = await jetstream.get_msg("EVENTS", sequence)
            event = msgspec.json.decode(message.data or b"", type=CloudEvent[EventData])
            found.append((message.subject or "", event, (message.headers or {})["Nats-Msg-Id"]))
        return found
    finally:
        await connection.close()


async def test_an_event_travels_as_a_cloud_event(pool: asyncpg.Pool, gateway: Bus, nats_server: Nats) -> None:
    identity = await add(pool, 7, ProjectCreated("Shop"))
    async with relaying(Relay(pool, gateway, SOURCE)):
        await until(lambda: empty(pool))
    ((subject, event, message_id),) = await published(nats_server)
    assert subject == "dbify.events.7.project.created"
    assert message_id == event.id == identity
    assert (event.source, event.type, event.subject) == (SOURCE, "dev.dbify.project.created", subject)
    assert (event.projectid, event.sequence, event.specversion) == (7, 1, "1.0")
    assert event.time.endswith("Z")


async def test_two_relays_publish_every_committed_event_once_and_in_order(
    pool: asyncpg.Pool, gateway: Bus, nats_server: Nats
) -> None:
    relays = [Relay(pool, gateway, SOURCE), Relay(pool, gateway, SOURCE)]

    async def change(project: int) -> list[str]:
        kept = []
        for number in range(40):
            identity = await add(pool, project, KeyRevoked(str(number)), commit=number % 4 != 3)
            if number % 4 != 3:
                kept.append(identity)
            relays[number % 2].nudge()
        return kept

    async with relaying(*relays):
        kept = await asyncio.gather(*(change(project) for project in (1, 2, 3)))
        await until(lambda: empty(pool))
    events = [event for _, event, _ in await published(nats_server)]
    for project, identities in zip((1, 2, 3), kept, strict=True):
        of_project = [event for event in events if event.projectid == project]
        assert [event.id for event in of_project] == identities
        assert [event.sequence for event in of_project] == list(range(1, 31))


async def test_what_is_rolled_back_is_never_published(pool: asyncpg.Pool, gateway: Bus, nats_server: Nats) -> None:
    await add(pool, 1, ProjectCreated("no"), commit=False)
    await add(pool, 1, ProjectDeleted("yes"))
    async with relaying(Relay(pool, gateway, SOURCE)):
        await until(lambda: empty(pool))
    assert [event.type for _, event, _ in await published(nats_server)] == ["dev.dbify.project.deleted"]


async def test_an_event_published_but_not_deleted_is_not_published_twice(
    pool: asyncpg.Pool, gateway: Bus, nats_server: Nats
) -> None:
    await add(pool, 1, ProjectCreated("a"))
    (row,) = await pool.fetch("SELECT * FROM outbox")
    async with relaying(Relay(pool, gateway, SOURCE)):
        await until(lambda: empty(pool))
    # As after a crash between the acknowledgement and the commit.
    await pool.execute("INSERT INTO outbox VALUES ($1, $2, $3, $4, $5, $6)", *row.values())
    async with relaying(Relay(pool, gateway, SOURCE)):
        await until(lambda: empty(pool))
    assert len(await published(nats_server)) == 1


async def test_events_wait_while_nats_is_down(pool: asyncpg.Pool, gateway: Bus, nats_server: Nats) -> None:
    relay = Relay(pool, gateway, SOURCE)
    nats_server.kill()
    await until(lambda: not gateway.connected)
    async with relaying(relay):
        kept = [await add(pool, 1, KeyRevoked(str(number))) for number in range(5)]
        relay.nudge()
        await nats_server.restart()
        await until(lambda: empty(pool))
    assert [event.id for _, event, _ in await published(nats_server)] == kept


async def test_the_relay_outlives_its_database(
    cluster: Postgres, pool: asyncpg.Pool, gateway: Bus, nats_server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_INTERVAL_S", 0.1)
    relay = Relay(pool, gateway, SOURCE)
    async with relaying(relay):
        await add(pool, 1, ProjectCreated("before"))
        await until(lambda: empty(pool))
        await cluster.stop()
        relay.nudge()
        await until(lambda: relay._said)
        await cluster.restart()
        await add(pool, 1, ProjectDeleted("after"))
        await until(lambda: empty(pool))
    assert [event.sequence for _, event, _ in await published(nats_server)] == [1, 2]


async def test_an_event_too_large_for_the_bus_is_refused_at_once(pool: asyncpg.Pool) -> None:
    with pytest.raises(ValueError, match="larger"):
        await add(pool, 1, ProjectCreated("x" * 600_000))
    assert await empty(pool)
