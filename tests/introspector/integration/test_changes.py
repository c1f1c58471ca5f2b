"""Changes as they are announced, kept and asked about."""

import pytest

from libs.common.changes import KeyImpact
from libs.common.errors import Code, DbifyError
from libs.common.events import ProjectDeleted
from libs.common.logs import Caller, CallersQuestion, ColumnUse
from tests.common.waiting import until
from tests.introspector.scene import PROJECT, Scene, execute, seal

CALLED = Caller("k1", 12, 3, "2026-11-25T10:11:12Z")


async def test_a_dropped_column_is_announced_with_the_key_that_used_it(scene: Scene, database: str) -> None:
    await execute(database, "CREATE TABLE customer (id int PRIMARY KEY, email text)")
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway, scene.logger(CALLED) as asked:
        await gateway.look()
        await execute(database, "ALTER TABLE customer DROP email")
        await gateway.look()
        await until(lambda: bool(scene.announced))
        page = await gateway.changes()
    (event,) = scene.announced
    (change,) = event.data.changes
    assert (change.kind, change.table, change.column, change.level) == (
        "column.dropped", "public.customer", "email", "breaking",
    )  # fmt: skip
    assert change.before == {"name": "email", "type": "text", "kind": "text", "nullable": True}
    assert asked == [CallersQuestion(PROJECT, [], [ColumnUse("public.customer", "email")])]
    assert event.data.impact.complete
    assert event.data.impact.keys == (KeyImpact("k1", "the key k1", 12, 3, "2026-11-25T10:11:12Z"),)
    assert (event.data.total_changes, event.data.link) == (1, "/v1/projects/7/changes/2")
    assert [(it.version, it.changes, it.impact) for it in page.data] == [(2, [change], event.data.impact)]


async def test_without_the_logger_the_event_goes_out_and_says_so(scene: Scene, database: str) -> None:
    await execute(database, "CREATE TABLE customer (id int PRIMARY KEY)")
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        await execute(database, "DROP TABLE customer")
        await gateway.look()
        await until(lambda: bool(scene.announced))
    assert not scene.announced[0].data.impact.complete
    assert scene.announced[0].data.impact.keys == ()


async def test_changes_come_in_pages_newest_first_and_one_by_its_version(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        for number in range(3):
            await execute(database, f"CREATE TABLE t{number} (id int)")
            await gateway.look()
        first = await gateway.changes(limit=2)
        assert [it.version for it in first.data] == [4, 3]
        assert first.next_cursor == "3"
        second = await gateway.changes(limit=2, before=3)
        assert ([it.version for it in second.data], second.next_cursor) == ([2], None)
        one = await gateway.change(3)
        assert (one.id, one.from_version, one.safe, one.changes[0].table) == ("3", 2, 1, "public.t1")
        for unknown in (1, 5, 2**40):
            with pytest.raises(DbifyError) as refusal:
                await gateway.change(unknown)
            assert refusal.value.code is Code.NOT_FOUND


async def test_a_deleted_project_leaves_no_changes(scene: Scene, database: str) -> None:
    scene.databases[PROJECT] = seal(database)
    async with scene.introspector(), scene.gateway() as gateway:
        await gateway.look()
        await execute(database, "CREATE TABLE t (id int)")
        await gateway.look()
        await gateway.say(ProjectDeleted("shop"))

        async def forgotten() -> bool:
            return not (await gateway.changes()).data

        await until(forgotten)
