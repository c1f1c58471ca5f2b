"""Databases as the gateway hands them over, and an introspector that runs on real servers."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg
import msgspec

from libs.common.bus import Bus, Message, connect, method
from libs.common.errors import Code, DbifyError
from libs.common.events import CloudEvent, EventData, SchemaChanged, schema_of, subject_of, type_of
from libs.common.ids import ProjectId, new_id
from libs.common.logs import Caller, Callers, CallersQuestion
from libs.common.rpc import (
    Activity,
    ChangeRequest,
    ChangesPage,
    ChangesRequest,
    DatabaseRequest,
    KeyNames,
    KeyNamesRequest,
    LookRequest,
    SealedDatabase,
    SnapshotRequest,
    VersionChanges,
    WatchRequest,
    WatchState,
)
from libs.common.schema import Schema, Table, unpack
from libs.common.sealing import Keyring
from libs.common.subjects import ACTIVITY
from services.introspector.adapters.catalog import Catalogs
from services.introspector.config import Config
from services.introspector.core.assemble import Reading
from services.introspector.main import run
from stack.embedded import Nats, free_port
from tests.common.waiting import until

MASTER_KEY: Final = "test:" + "A" * 43 + "="
PROJECT: Final = ProjectId(7)
LOOPBACK: Final = "127.0.0.0/8"


def seal(url: str, project: ProjectId = PROJECT, version: int = 1) -> SealedDatabase:
    """As the gateway seals it."""
    sealed = Keyring.parse(MASTER_KEY).seal(url.encode(), str(project), "database", str(version))
    return SealedDatabase(project, sealed, version, ["127.0.0.1"])


async def look_at(catalogs: Catalogs, url: str, known: str = "") -> Reading | None:
    """One look without a service around it."""
    async with catalogs.open(PROJECT, seal(url)) as catalog:
        return await catalog.read(known)


def table(schema: Schema, name: str) -> Table:
    """A table by `schema.table`, each of them whatever is in it."""
    return next(found for found in schema.tables if f"{found.schema}.{found.name}" == name)


def with_role(url: str, role: str, password: str) -> str:
    """The same database as another role."""
    return re.sub(r"//[^@]+@", f"//{role}:{password}@", url)


async def execute(url: str, *statements: str) -> None:
    """Run statements in a database."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@dataclass
class Scene:
    """One test's servers, a gateway that knows `databases`, and the changes that were announced to it."""

    nats: Nats
    platform: str
    databases: dict[ProjectId, SealedDatabase] = field(default_factory=dict)
    announced: list[CloudEvent[SchemaChanged]] = field(default_factory=list)
    asked: int = 0

    def config(self) -> Config:
        return Config(
            nats_url=self.nats.url("introspector"),
            database_url=self.platform,
            health_port=free_port(),
            master_key=MASTER_KEY,
            allow_networks=LOOPBACK,
        )

    @asynccontextmanager
    async def introspector(self, config: Config | None = None) -> AsyncIterator[None]:
        """A replica, run by its own main."""
        stop = asyncio.Event()
        running = asyncio.create_task(run(config or self.config(), stop))
        try:
            yield
        finally:
            stop.set()
            await running

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator["Gateway"]:
        """The gateway's side."""

        async def database(request: DatabaseRequest) -> SealedDatabase:
            self.asked += 1
            if request.project_id not in self.databases:
                raise DbifyError(Code.PROJECT_NOT_FOUND, "No such project.")
            return self.databases[request.project_id]

        async def names(request: KeyNamesRequest) -> KeyNames:
            return KeyNames({key: f"the key {key}" for key in request.ids})

        async def hear(message: Message) -> None:
            self.announced.append(msgspec.json.decode(message.data, type=CloudEvent[SchemaChanged]))

        async with connect(self.nats.url("gateway"), "gateway") as bus:
            await until(lambda: bus.connected)
            await bus.serve(
                "gateway", {"database": method(DatabaseRequest, database), "keys": method(KeyNamesRequest, names)}
            )
            await bus.subscribe("dbify.events.*.schema.*", hear)
            yield Gateway(bus)

    @asynccontextmanager
    async def logger(self, *called: Caller) -> AsyncIterator[list[CallersQuestion]]:
        """The logger's side: who called, and what it was asked."""
        asked: list[CallersQuestion] = []

        async def callers(question: CallersQuestion) -> Callers:
            asked.append(question)
            return Callers(list(called))

        async with connect(self.nats.url("logger"), "logger") as bus:
            await until(lambda: bus.connected)
            await bus.serve("logger", {"callers": method(CallersQuestion, callers)})
            yield asked

    async def versions(self, project: ProjectId = PROJECT) -> list[int]:
        """The versions that are stored."""
        connection = await asyncpg.connect(self.platform)
        try:
            rows = await connection.fetch(
                "SELECT version FROM introspector.snapshots WHERE project = $1 ORDER BY version", project
            )
        finally:
            await connection.close()
        return [row["version"] for row in rows]


@dataclass
class Gateway:
    """What the gateway asks and says."""

    bus: Bus

    async def look(self, database: SealedDatabase | None = None, project: ProjectId = PROJECT) -> Schema:
        return unpack(await self._ask("look", LookRequest(project, database)))

    async def snapshot(self, at_least: int = 0, project: ProjectId = PROJECT) -> Schema:
        return unpack(await self._ask("snapshot", SnapshotRequest(project, at_least)))

    async def tell_active(self, *projects: ProjectId) -> None:
        """Say that projects are in use, as a gateway does again and again."""
        await self.bus.tell(ACTIVITY, msgspec.json.encode(Activity(list(projects or (PROJECT,)))))

    async def watch(self, *, install: bool = True) -> WatchState:
        name = "watch" if install else "unwatch"
        return msgspec.json.decode(await self._ask(name, WatchRequest(PROJECT)), type=WatchState)

    async def changes(self, limit: int = 20, before: int | None = None) -> ChangesPage:
        return msgspec.json.decode(await self._ask("changes", ChangesRequest(PROJECT, limit, before)), type=ChangesPage)

    async def change(self, version: int) -> VersionChanges:
        return msgspec.json.decode(await self._ask("change", ChangeRequest(PROJECT, version)), type=VersionChanges)

    async def say(self, data: EventData, project: ProjectId = PROJECT, *, times: int = 1) -> None:
        """Publish an event, several times under new ids to get past the stream's own deduplication."""
        happened = CloudEvent(
            id=new_id(), source="dbify/gateway", type=type_of(type(data)), subject=subject_of(project, type(data)),
            time="2026-11-25T10:11:12.345Z", dataschema=schema_of(type(data)), projectid=project, sequence=1, data=data,
        )  # fmt: skip
        for _ in range(times):
            await self.bus.publish(happened_on(happened), msgspec.json.encode(happened), message_id=new_id())

    async def _ask(self, name: str, request: msgspec.Struct) -> bytes:
        """Ask until somebody answers: a replica that starts is not there at once."""
        async with asyncio.timeout(30):
            while True:
                try:
                    return await self.bus.request("introspector", name, request, timeout_s=25)
                except DbifyError as error:
                    if "introspector" not in error.message or error.code is not Code.SERVICE_UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.02)


def happened_on(event: CloudEvent[EventData]) -> str:
    """The subject that an event is published on."""
    return subject_of(event.projectid, type(event.data))
