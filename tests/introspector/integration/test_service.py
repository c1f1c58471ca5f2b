"""The introspector as a service: versions, events, replicas, and dependencies that go and come back."""

import asyncio
import time
from collections.abc import Callable

import asyncpg
import httpx
import pytest

from libs.common.errors import Code, DbifyError
from libs.common.events import ProjectCreated, ProjectDeleted, ProjectUpdated
from libs.common.ids import ProjectId
from services.introspector.handlers import look
from stack import embedded
from tests.common.waiting import until
from tests.introspector.scene import PROJECT, Scene, execute, seal

OTHER = ProjectId(8)


async def test_the_first_look_is_version_1_and_no_event(scene: Scene, database: str) -> None:
    await execute(database, "CREATE TABLE customer (id int PRIMARY KEY)")
    async with scene.introspector(), scene.gateway() as gateway:
        schema = await gateway.look(seal(database))
        assert (schema.version, [table.name for table in schema.tables]) == (1, ["customer"])
        assert (await gateway.look(seal(database))).version == 1
        await execute(database, "CREATE TABLE mark ()")
        await gateway.look(seal(database))
        await until(lambda: bool(scene.announced))
    (event,) = scene.announced
    assert (event.sequence, event.data.from_version, event.data.to_version) == (1, 1, 2)
    assert scene.asked == 0


async def test_each_change_is_a_version_and_an_event(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        for number in range(3):
            await execute(database, f"CREATE TABLE t{number} (id int)")
            assert (await gateway.look()).version == number + 2
        await until(lambda: len(scene.announced) == 3)
    assert await scene.versions() == [1, 2, 3, 4]
    assert [(event.projectid, event.sequence, event.data.to_version) for event in scene.announced] == [
        (PROJECT, 1, 2), (PROJECT, 2, 3), (PROJECT, 3, 4),
    ]  # fmt: skip


async def test_looks_of_two_replicas_at_once_make_one_version(scene: Scene, database: str) -> None:
    async with scene.introspector(), scene.introspector(), scene.gateway() as gateway:
        first = await asyncio.gather(*(gateway.look(seal(database)) for _ in range(10)))
        await execute(database, "CREATE TABLE t (id int)")
        second = await asyncio.gather(*(gateway.look(seal(database)) for _ in range(10)))
        await until(lambda: bool(scene.announced))
    assert {schema.version for schema in first} == {1}
    assert {schema.version for schema in second} == {2}
    assert await scene.versions() == [1, 2]
    assert len(scene.announced) == 1


async def test_a_snapshot_is_read_once_and_then_served(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        assert (await gateway.snapshot()).version == 1
        await execute(database, "CREATE TABLE t (id int)")
        assert (await gateway.snapshot(at_least=1)).version == 1
        assert scene.asked == 1
        assert (await gateway.snapshot(at_least=2)).version == 2
        assert scene.asked == 2


async def test_a_project_that_the_gateway_does_not_know_has_no_snapshot(scene: Scene) -> None:
    async with scene.introspector(), scene.gateway() as gateway:
        with pytest.raises(DbifyError) as refusal:
            await gateway.snapshot()
    assert refusal.value.code is Code.PROJECT_NOT_FOUND


async def test_a_created_project_gets_its_snapshot_and_a_deleted_one_loses_it(scene: Scene, database: str) -> None:
    scene.databases = {PROJECT: seal(database), OTHER: seal(database, OTHER)}
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.say(ProjectCreated("shop"), times=3)
        await gateway.say(ProjectCreated("other"), OTHER)

        async def both() -> bool:
            return await scene.versions() == await scene.versions(OTHER) == [1]

        await until(both)
        del scene.databases[PROJECT]
        await gateway.say(ProjectDeleted("shop"), times=2)
        await gateway.say(ProjectCreated("shop"))

        async def forgotten() -> bool:
            return await scene.versions() == []

        await until(forgotten)
        assert await scene.versions(OTHER) == [1]


async def test_a_project_that_moves_is_read_anew(scene: Scene, database: str, cluster: embedded.Postgres) -> None:
    await execute(database, "CREATE TABLE before (id int)")
    await cluster.execute("CREATE DATABASE moved_to")
    await execute(cluster.url("moved_to"), "CREATE TABLE after (id int)")
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        scene.databases[PROJECT] = seal(cluster.url("moved_to"), version=2)
        await gateway.say(ProjectUpdated("shop", 2), times=2)
        await until(lambda: bool(scene.announced))
        schema = await gateway.snapshot()
    assert (schema.version, [table.name for table in schema.tables]) == (2, ["after"])
    assert len(scene.announced) == 1


async def test_a_database_that_is_down_holds_up_no_other_project(scene: Scene, database: str, free_port: int) -> None:
    scene.databases = {
        PROJECT: seal(f"postgresql://u:p@127.0.0.1:{free_port}/gone"),
        OTHER: seal(database, OTHER),
    }
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.say(ProjectCreated("gone"), times=6)
        await gateway.say(ProjectCreated("other"), OTHER)

        async def there() -> bool:
            return await scene.versions(OTHER) == [1]

        await until(there)
        with pytest.raises(DbifyError) as refusal:
            await gateway.snapshot()
    assert refusal.value.code is Code.DATABASE_UNAVAILABLE


async def test_a_database_that_never_answers_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(look, "LOOK_TIMEOUT_S", 0.5)
    open_ = asyncio.Event()

    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await open_.wait()
        writer.close()

    async with await asyncio.start_server(silence, "127.0.0.1", 0) as tarpit:
        port = tarpit.sockets[0].getsockname()[1]
        async with scene.introspector(), scene.gateway() as gateway:
            with pytest.raises(DbifyError) as refusal:
                await gateway.look(seal(f"postgresql://u:p@127.0.0.1:{port}/x"))
        open_.set()
    assert refusal.value.code is Code.QUERY_TIMEOUT


async def test_a_restarted_service_goes_on_where_it_was(scene: Scene, database: str) -> None:
    async with scene.gateway() as gateway:
        async with scene.introspector():
            await gateway.look(seal(database))
        await execute(database, "CREATE TABLE t (id int)")
        async with scene.introspector():
            assert (await gateway.snapshot()).version == 1
            assert (await gateway.look(seal(database))).version == 2
            await until(lambda: bool(scene.announced))


async def test_an_event_committed_without_nats_is_sent_when_it_is_back(scene: Scene, database: str) -> None:
    await execute(database, "CREATE TABLE t (id int); CREATE VIEW v AS SELECT id FROM t")
    async with scene.gateway() as gateway, scene.introspector():
        await gateway.look(seal(database))
        await execute(database, "CREATE TABLE t2 (id int)")
        # A lock holds the look up until NATS is down.
        holder = await asyncpg.connect(database)
        await holder.execute("BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(gateway.look(seal(database)))

        async def held_up() -> bool:
            return bool(await holder.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(held_up)
        await scene.nats.stop()
        await holder.close()
        with pytest.raises(DbifyError):
            await asking

        async def saved() -> bool:
            return await scene.versions() == [1, 2]

        await until(saved)
        assert scene.announced == []
        await scene.nats.restart()
        await until(lambda: bool(scene.announced), within_s=40)
        assert (await gateway.snapshot()).version == 2
    assert [(event.data.from_version, event.data.to_version) for event in scene.announced] == [(1, 2)]


async def test_without_the_platform_database_it_says_so_and_recovers(
    scene: Scene, database: str, cluster: embedded.Postgres
) -> None:
    config = scene.config()
    async with scene.gateway() as gateway, scene.introspector(config), httpx.AsyncClient() as client:
        await gateway.look(seal(database))

        async def ready(status: int) -> bool:
            answer = await client.get(f"http://127.0.0.1:{config.health_port}/readyz")
            return answer.status_code == status

        await until(lambda: ready(200))
        await cluster.stop()
        with pytest.raises(DbifyError) as refusal:
            await gateway.snapshot()
        assert refusal.value.code is Code.PLATFORM_UNAVAILABLE
        await until(lambda: ready(503))
        await cluster.restart()
        assert (await gateway.snapshot()).version == 1
        await until(lambda: ready(200))


@pytest.mark.slow
async def test_1500_tables_are_read_whole(
    scene: Scene, database: str, record_property: Callable[[str, object], None]
) -> None:
    await execute(database, """
        DO $$ BEGIN FOR i IN 1..1500 LOOP EXECUTE format('CREATE TABLE t%s (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent_id bigint %s, a text NOT NULL, b varchar(200),
            c numeric(10, 2) DEFAULT 0, d text[], e jsonb, f timestamptz DEFAULT now(), g uuid, h bool, i float8, j date
        )', i, CASE WHEN i > 1 THEN format('REFERENCES t%s', i - 1) ELSE '' END);
        IF i %% 100 = 0 THEN COMMIT; END IF; END LOOP; END $$
    """.replace("%%", "%"))  # fmt: skip
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look(seal(scene.platform, OTHER), OTHER)
        start = time.perf_counter()
        schema = await gateway.look(seal(database))
        record_property("whole_s", time.perf_counter() - start)
        start = time.perf_counter()
        await gateway.look(seal(database))
        record_property("unchanged_s", time.perf_counter() - start)
    assert len(schema.tables) == 1500
    assert all(len(table.columns) == 12 for table in schema.tables)
