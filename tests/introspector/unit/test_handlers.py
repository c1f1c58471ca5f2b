"""What the handlers decide, over parts in memory: the real ones are met in the integration tests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from libs.common.bus import Message, Poison
from libs.common.changes import Impact, KeyImpact
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import Caller
from libs.common.rpc import LookRequest, SealedDatabase
from libs.common.schema import Database, unpack
from services.introspector.core.assemble import Origin, Reading
from services.introspector.core.rows import Rows
from services.introspector.core.telling import Question, Told
from services.introspector.core.versions import Snapshot, following
from services.introspector.handlers import impact
from services.introspector.handlers.impact import Impacts
from services.introspector.handlers.look import Looks
from services.introspector.handlers.turns import Turns
from services.introspector.handlers.watch import MAX_DELIVERIES, Watch

PROJECT = ProjectId(7)


def reading(*schemas: str) -> Reading:
    rows = Rows()
    for oid, name in enumerate(schemas):
        rows.add("schema", msgspec.json.encode((name, oid)).decode())
    return Reading(Origin(Database("1", 1, 5, "shop", 180004), ("public",), " ".join(schemas)), rows)


class Memory:
    """A project's page, a database that is as `found` says, and a gateway whose answers come one after the other."""

    def __init__(self, found: Reading, stored: Snapshot | None, versions: Sequence[int] = (1,)) -> None:
        self.latest = stored
        self.told: list[Told] = []
        self.confirmed: list[int] = []
        self.reads = 0
        self._found = found
        self._versions = list(versions)

    async def database(self, project: ProjectId) -> SealedDatabase:
        version = self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]
        return SealedDatabase(project, "sealed", version, [])

    @asynccontextmanager
    async def open(self, _project: ProjectId, _database: SealedDatabase) -> AsyncIterator["Memory"]:
        yield self

    @asynccontextmanager
    async def held(self, _project: ProjectId) -> AsyncIterator["Memory"]:
        yield self

    async def read(self, known: str) -> Reading | None:
        self.reads += 1
        return None if self._found.origin.fingerprint == known else self._found

    async def save(self, snapshot: Snapshot) -> None:
        self.latest = snapshot

    async def confirm(self, snapshot: Snapshot, database_version: int) -> None:
        assert snapshot == self.latest
        self.confirmed.append(database_version)

    async def tell(self, told: Told) -> None:
        self.told.append(told)

    async def of(self, _project: ProjectId, _question: Question) -> Impact:
        return Impact(complete=False)


class Page:
    """All projects' snapshots, which here are one."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def latest(self, _project: ProjectId) -> Snapshot | None:
        return self._memory.latest

    def held(self, project: ProjectId) -> object:
        return self._memory.held(project)


async def take(memory: Memory, request: LookRequest) -> tuple[Snapshot, int]:
    """The answer, and how often the relay was nudged."""
    nudges: list[None] = []
    async with Turns[tuple[ProjectId, str], Snapshot](2) as turns:
        looks = Looks(memory, memory, Page(memory), memory, turns, lambda: nudges.append(None))  # type: ignore[arg-type]  # the fake's contexts are plain
        return await looks.take(request.project_id, request.database), len(nudges)


async def test_a_first_look_saves_and_tells_nobody() -> None:
    memory = Memory(reading("public"), None)
    snapshot, nudges = await take(memory, LookRequest(PROJECT))
    assert (snapshot.version, nudges, memory.told) == (1, 0, [])
    assert memory.latest == snapshot


async def test_a_known_fingerprint_is_noted_with_the_database_it_was_seen_in() -> None:
    memory = Memory(reading("public"), following(None, reading("public"), 1).snapshot, versions=[2])
    snapshot, nudges = await take(memory, LookRequest(PROJECT))
    assert (snapshot.version, nudges, memory.confirmed) == (1, 0, [2])


async def test_a_change_is_saved_announced_and_sent_at_once() -> None:
    memory = Memory(reading("public", "app"), following(None, reading("public"), 1).snapshot)
    snapshot, nudges = await take(memory, LookRequest(PROJECT))
    (told,) = memory.told
    assert (snapshot.version, nudges, told.from_version, told.to_version) == (2, 1, 1, 2)
    assert [change.kind for change in told.changes] == ["schema.added"]
    assert not told.impact.complete
    assert unpack(snapshot.packed).schemas == ("app", "public")


async def test_a_look_at_a_database_that_the_project_has_left_reads_nothing() -> None:
    newer = following(None, reading("public"), 2).snapshot
    memory = Memory(reading("old"), newer, versions=[1, 2])
    snapshot, _ = await take(memory, LookRequest(PROJECT))
    assert (snapshot, memory.reads) == (newer, 0)


async def test_a_database_that_never_became_the_projects_gives_way() -> None:
    rejected = following(None, reading("rejected"), 2).snapshot
    memory = Memory(reading("public"), rejected, versions=[1])
    snapshot, _ = await take(memory, LookRequest(PROJECT))
    assert (snapshot.version, snapshot.database_version) == (2, 1)
    assert unpack(snapshot.packed).schemas == ("public",)


class Failing:
    """Looks that fail, and no snapshots."""

    def __init__(self, code: Code) -> None:
        self.code = code

    async def take(self, _project: ProjectId, _database: SealedDatabase | None) -> Snapshot:
        raise DbifyError(self.code, "no")

    async def latest(self, _project: ProjectId) -> Snapshot | None:
        return None

    async def delete(self, _project: ProjectId) -> None:
        raise AssertionError("nothing was deleted")


def created(deliveries: int) -> Message:
    data = b'{"type": "dev.dbify.project.created", "projectid": 7, "data": {"name": "shop"}}'
    return Message("dbify.events.7.project.created", data, {}, 1, deliveries, "")


@pytest.mark.parametrize(
    ("code", "deliveries", "again"),
    [
        (Code.DATABASE_UNAVAILABLE, 1, True),
        (Code.DATABASE_UNAVAILABLE, MAX_DELIVERIES, False),
        (Code.PLATFORM_UNAVAILABLE, 1000, True),
        (Code.SERVICE_TIMEOUT, 1000, True),
        (Code.DATABASE_REFUSED_LOGIN, 1, False),
        (Code.SCHEMA_TOO_LARGE, 1, False),
        (Code.PROJECT_NOT_FOUND, 1, False),
    ],
)
async def test_an_event_comes_again_as_long_as_that_may_help(code: Code, deliveries: int, *, again: bool) -> None:
    watch = Watch(Failing(code), Failing(code))
    try:
        await watch(created(deliveries))
    except DbifyError:
        assert again
    else:
        assert not again


async def test_what_is_no_event_is_poison_and_what_is_another_event_is_left_alone() -> None:
    watch = Watch(Failing(Code.INTERNAL_ERROR), Failing(Code.INTERNAL_ERROR))
    with pytest.raises(Poison):
        await watch(Message("dbify.events.7.project.created", b"{", {}, 1, 1, ""))
    await watch(Message("dbify.events.7.project.paused", b'{"type": "x", "projectid": 7}', {}, 1, 1, ""))


class Knowing:
    """A logger and a gateway, each of which answers, fails or stays silent."""

    def __init__(self, *, callers: bool | None = True, names: bool | None = True) -> None:
        self._answers = {"callers": callers, "names": names}

    async def callers(self, _project: ProjectId, _question: Question) -> list[Caller]:
        await self._answer("callers")
        return [Caller("k1", 12, 3, "2026-11-25T10:11:12Z"), Caller("k2", 1, 1, "2026-11-25T10:11:13Z")]

    async def names(self, _project: ProjectId, keys: Sequence[str]) -> dict[str, str]:
        assert list(keys) == ["k1", "k2"]
        await self._answer("names")
        return {"k1": "shop"}

    async def _answer(self, what: str) -> None:
        if self._answers[what] is None:
            await asyncio.Event().wait()
        if not self._answers[what]:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "no")


ASKED = Question(("public.customer",), ())


async def test_an_impact_names_the_keys_that_called() -> None:
    knowing = Knowing()
    found = await Impacts(knowing, knowing).of(PROJECT, ASKED)
    assert found == Impact(
        complete=True,
        keys=(
            KeyImpact("k1", "shop", 12, 3, "2026-11-25T10:11:12Z"),
            KeyImpact("k2", "", 1, 1, "2026-11-25T10:11:13Z"),
        ),
    )


@pytest.mark.parametrize(
    ("knowing", "keys"),
    [
        (Knowing(callers=False), []), (Knowing(callers=None), []),
        (Knowing(names=False), ["k1", "k2"]), (Knowing(names=None), ["k1", "k2"]),
    ],
    ids=["logger down", "logger silent", "gateway down", "gateway silent"],
)  # fmt: skip
async def test_an_impact_that_nobody_tells_in_time_says_so(
    knowing: Knowing, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(impact, "DEADLINE_S", 0.05)
    found = await Impacts(knowing, knowing).of(PROJECT, ASKED)
    assert (found.complete, [key.id for key in found.keys]) == (False, keys)


async def test_nobody_is_asked_about_nothing() -> None:
    knowing = Knowing(callers=None)
    assert await Impacts(knowing, knowing).of(PROJECT, Question((), ())) == Impact()
