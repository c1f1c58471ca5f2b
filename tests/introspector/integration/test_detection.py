"""Changes that nobody asked about: seen by looking at projects in use, and by databases that tell."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from libs.common import postgres
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from services.introspector.adapters.schedule import Schedule, Watched
from stack import embedded
from tests.common.waiting import until
from tests.introspector.scene import PROJECT, Gateway, Scene, execute, seal, with_role

OTHER = ProjectId(8)


@asynccontextmanager
async def in_use(gateway: Gateway) -> AsyncIterator[None]:
    """Requests that go on."""

    async def go_on() -> None:
        while True:
            await gateway.tell_active()
            await asyncio.sleep(0.5)

    telling = asyncio.create_task(go_on())
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})


async def event_after(scene: Scene, database: str, statement: str) -> float:
    """Seconds from a statement's end to its event."""
    before = len(scene.announced)
    await execute(database, statement)
    start = time.perf_counter()
    await until(lambda: len(scene.announced) > before, within_s=30)
    return time.perf_counter() - start


async def test_a_change_in_a_project_in_use_is_announced_once_within_ten_seconds(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.introspector(), scene.gateway() as gateway, in_use(gateway):
        await gateway.look()
        for number in range(3):
            assert await event_after(scene, database, f"CREATE TABLE t{number} (id int)") < 10
        versions = [event.data.to_version for event in scene.announced]
    assert versions == [2, 3, 4]
    assert await scene.versions() == [1, 2, 3, 4]


async def test_the_first_request_after_a_pause_looks(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        await execute(database, "CREATE TABLE t (id int)")
        asked = scene.asked
        await gateway.tell_active()
        await until(lambda: bool(scene.announced), within_s=5)
        assert scene.asked > asked


@asynccontextmanager
async def schedule(scene: Scene) -> AsyncIterator[tuple[Schedule, asyncpg.Pool]]:
    async with postgres.platform(scene.platform, "introspector", max_size=2) as pool:
        yield Schedule(pool), pool


async def test_a_due_project_is_taken_by_one_replica_until_its_lease_ends(scene: Scene) -> None:
    async with schedule(scene) as (first, pool):
        second = Schedule(pool)
        assert await first.active([PROJECT, OTHER, PROJECT])
        assert not await second.active([PROJECT])
        taken = [*await first.take(1, 30), *await second.take(5, 30)]
        assert sorted(due.project for due in taken) == [PROJECT, OTHER]
        assert await first.take(5, 30) == []
        await first.settle(PROJECT, 0, 4)
        (due,) = await second.take(5, 0)
        assert (due.project, due.version) == (PROJECT, 4)
        assert [due.project for due in await first.take(5, 30)] == [PROJECT]
        await first.settle(PROJECT, 0, 4)
        await first.forget(PROJECT)
        assert await first.take(5, 30) == []


async def test_a_project_that_nobody_uses_is_not_looked_at(scene: Scene) -> None:
    async with schedule(scene) as (one, pool):
        await one.active([PROJECT])
        await pool.execute("UPDATE schedule SET active_until = now() - interval '1 second'")
        assert await one.take(5, 30) == []
        assert await one.active([PROJECT])
        assert [due.project for due in await one.take(5, 30)] == [PROJECT]


async def test_a_watched_project_is_held_by_one_replica_and_left_to_others_at_its_end(scene: Scene) -> None:
    async with postgres.platform(scene.platform, "introspector", max_size=2) as pool:
        first, second = Watched(pool, "first"), Watched(pool, "second")
        await first.add(PROJECT)
        await first.add(PROJECT)
        assert await first.hold(5, 30) == {PROJECT}
        assert await second.hold(5, 30) == frozenset()
        assert await first.hold(5, 30) == {PROJECT}
        await first.release()
        assert await second.hold(5, 0) == {PROJECT}
        assert await first.hold(5, 30) == {PROJECT}
        await first.remove(PROJECT)
        assert await first.hold(5, 30) == frozenset()


async def test_a_watched_database_tells_within_a_second_though_nobody_uses_it(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        assert (await gateway.watch()).watched
        await event_after(scene, database, "CREATE TABLE first (id int)")
        for number in range(5):
            assert await event_after(scene, database, f"CREATE TABLE t{number} (id int)") < 1
        assert (await gateway.snapshot()).schemas == ("public",)
        assert not (await gateway.watch(install=False)).watched
        connection = await asyncpg.connect(database)
        left = await connection.fetchval(
            "SELECT (SELECT count(*) FROM pg_event_trigger)"
            " + (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^dbify')"
        )
        await connection.close()
    assert left == 0
    assert [event.data.total_changes for event in scene.announced] == [1] * 6


async def test_a_watch_goes_on_in_another_replica_and_after_the_connection_was_lost(
    scene: Scene, database: str
) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.gateway() as gateway:
        async with scene.introspector():
            await gateway.look()
            await gateway.watch()
        async with scene.introspector():
            await event_after(scene, database, "CREATE TABLE t1 (id int)")
            await execute(
                database,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            await event_after(scene, database, "CREATE TABLE t2 (id int)")
            # Somebody drops the trigger by hand: the watch ends by itself.
            await execute(database, "DROP EVENT TRIGGER dbify_watch", "DROP SCHEMA dbify_watch CASCADE")
            await gateway.watch()
            assert await event_after(scene, database, "CREATE TABLE t3 (id int)") < 5


async def test_a_role_that_may_not_make_event_triggers_is_refused_in_words(
    scene: Scene, database: str, cluster: embedded.Postgres
) -> None:
    password, role = secrets.token_hex(8), f"plain_{secrets.token_hex(4)}"
    name = database.rpartition("/")[2]
    await cluster.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD '{password}'", f"GRANT CREATE ON DATABASE {name} TO {role}"
    )
    scene.databases[PROJECT] = seal(with_role(database, role, password))
    async with scene.introspector(), scene.gateway() as gateway:
        with pytest.raises(DbifyError, match="superuser") as refusal:
            await gateway.watch()
    assert refusal.value.code is Code.DATABASE_PERMISSION_DENIED
    connection = await asyncpg.connect(database)
    assert not await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^dbify'")
    await connection.close()


async def test_the_trigger_never_stands_in_the_way_of_ddl(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        await gateway.watch()
    await execute(
        database,
        "CREATE TABLE t (id int)",
        "CREATE TEMPORARY TABLE passing (id int)",
        "CREATE OR REPLACE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE t",
        "COMMENT ON SCHEMA public IS 'x'",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
    )
