"""The projects' snapshots: in memory, in Redis, in the gateway's own table, and at their source, the introspector."""

import asyncio
import logging
import time
from collections import OrderedDict
from typing import Final, NamedTuple, Protocol

from prometheus_client import Counter, Gauge
from redis.asyncio import Redis

from libs.common import schema
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.telemetry import log
from services.gateway.adapters.bounded import Bounded
from services.gateway.adapters.redis import Shared, UnreachableError, raw
from services.gateway.core.catalog import Catalog

# Memory for catalogs. One takes about 20 times its packed size (measured on 1,500 tables of 12 columns).
CAPACITY_BYTES: Final = 256 * 1024 * 1024
_TIMES_PACKED = 20
# The most often that one process asks the introspector about one project.
ASK_EVERY_S: Final = 2.0
# How long a snapshot goes on being served from Redis while Postgres and the introspector are down.
KNOWN_FOR_S: Final = 24 * 3600
_MAX_PROJECTS = 100_000
# Replaces what is there by what is newer, and by nothing else.
_PUT_NEWER = """
    if tonumber(redis.call('hget', KEYS[1], 'version') or '0') >= tonumber(ARGV[1]) then return 0 end
    redis.call('hset', KEYS[1], 'version', ARGV[1], 'packed', ARGV[2])
    redis.call('expire', KEYS[1], ARGV[3])
    return 1
"""

_logger = logging.getLogger(__name__)
_loads = Counter("dbify_gateway_schema_loads", "Snapshots loaded into memory.", ["where"])
_held = Gauge("dbify_gateway_schema_memory_bytes", "Estimated memory of the catalogs held.")


class Records(Protocol):
    """The gateway's own copies."""

    async def snapshot(self, project: ProjectId) -> bytes | None:
        """The stored copy, packed."""
        ...

    async def store_snapshot(self, project: ProjectId, version: int, packed: bytes) -> None:
        """Store a copy unless a newer one is there."""
        ...


class Introspector(Protocol):
    """The source of snapshots; packed."""

    async def newest(self, project: ProjectId, at_least: int) -> bytes:
        """The newest snapshot; a look is taken where it is older than `at_least`."""
        ...

    async def look_again(self, project: ProjectId) -> bytes:
        """The snapshot after a look that is taken now."""
        ...


class _Held(NamedTuple):
    catalog: Catalog
    packed: bytes
    generation: int

    @property
    def size_bytes(self) -> int:
        return len(self.packed) * _TIMES_PACKED


class Schemas:
    """`handlers.query.Schemas`. A version never gives way to an older one."""

    def __init__(
        self, records: Records, introspector: Introspector, shared: Shared, capacity_bytes: int = CAPACITY_BYTES
    ) -> None:
        self._records = records
        self._introspector = introspector
        self._shared = shared
        self._capacity_bytes = capacity_bytes
        self._size_bytes = 0
        self._held: OrderedDict[ProjectId, _Held] = OrderedDict()
        # The newest version that an event told of.
        self._announced: Bounded[ProjectId, int] = Bounded(_MAX_PROJECTS)
        self._asked_at: Bounded[tuple[str, ProjectId], float] = Bounded(_MAX_PROJECTS)
        self._under_way: dict[tuple[str, ProjectId], asyncio.Task[_Held]] = {}
        # Rises with each connection to NATS: events may have been missed before it.
        self._generation = 0

    async def current(self, project: ProjectId) -> Catalog:
        """The newest snapshot at hand. PROJECT_NOT_FOUND, PLATFORM_UNAVAILABLE or SERVICE_UNAVAILABLE."""
        held = self._held.get(project)
        if held is None:
            return (await self._once("load", project)).catalog
        self._held.move_to_end(project)
        if held.generation != self._generation and self._may("check", project):
            # Served as it is meanwhile: a change that was missed shows itself as an SQLSTATE.
            self._start("check", project)
        return held.catalog

    async def refresh(self, project: ProjectId, newer_than: int) -> Catalog:
        """A snapshot newer than that where a look, at most one every `ASK_EVERY_S`, finds one."""
        current = await self.current(project)
        if current.version > newer_than:
            return current
        if ("look", project) not in self._under_way and not self._may("look", project):
            return current
        try:
            return (await self._once("look", project)).catalog
        except DbifyError as error:
            log(_logger, "a look failed", level=logging.WARNING, project=project, reason=error.message)
            return current

    async def packed(self, project: ProjectId) -> bytes:
        """The newest snapshot at hand, packed."""
        await self.current(project)
        return self._held[project].packed

    async def learn(self, project: ProjectId, snapshot: bytes) -> None:
        """A snapshot that is stored already."""
        await self._share(self._hold(project, snapshot), project)

    async def changed(self, project: ProjectId, version: int) -> None:
        """An event told of this version: what is older is not served any more where the newer can be had."""
        self._announced.put(project, max(version, self._announced.get(project, 0)))
        held = self._held.get(project)
        if held is not None and held.catalog.version < version:
            # Kept until the newer one is here, for it may be out of reach.
            self._start("load", project)

    async def revalidate(self) -> None:
        """After a connection to NATS: each project is checked against the introspector when next used."""
        self._generation += 1

    def forget(self, project: ProjectId) -> None:
        """A project is gone, or has another database."""
        held = self._held.pop(project, None)
        if held is not None:
            self._size_bytes -= held.size_bytes
            _held.set(self._size_bytes)

    def _may(self, what: str, project: ProjectId) -> bool:
        """Whether the introspector may be asked again already."""
        now = time.monotonic()
        if now - self._asked_at.get((what, project), -ASK_EVERY_S) < ASK_EVERY_S:
            return False
        self._asked_at.put((what, project), now)
        return True

    async def _once(self, what: str, project: ProjectId) -> _Held:
        return await asyncio.shield(self._start(what, project))

    def _start(self, what: str, project: ProjectId) -> "asyncio.Task[_Held]":
        """The task that does this for this project: the one under way, or a new one."""
        task = self._under_way.get((what, project))
        if task is None:
            work = {"load": self._load, "check": self._check, "look": self._look}[what]
            task = asyncio.create_task(work(project))
            self._under_way[what, project] = task
            task.add_done_callback(lambda done: self._done((what, project), done))
        return task

    def _done(self, key: tuple[str, ProjectId], task: "asyncio.Task[_Held]") -> None:
        del self._under_way[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log(_logger, "no snapshot", level=logging.WARNING, project=key[1], reason=type(error).__name__)

    async def _load(self, project: ProjectId) -> _Held:
        """From Redis, the table, or the introspector: the first that has what was announced, else the newest."""
        generation = self._generation
        at_least = self._announced.get(project, 1)
        best = await self._from_redis(project)
        if best is None or _version(best) < at_least:
            stored = await self._from_table(project, best)
            best = best if stored is None else _newer(stored, best)
        if best is None or _version(best) < at_least:
            best = await self._from_introspector(project, at_least, best)
        held = self._hold(project, best, generation)
        await self._share(held, project)
        return held

    async def _check(self, project: ProjectId) -> _Held:
        generation = self._generation
        return await self._keep(project, await self._introspector.newest(project, 0), generation)

    async def _look(self, project: ProjectId) -> _Held:
        return await self._keep(project, await self._introspector.look_again(project), self._generation)

    async def _keep(self, project: ProjectId, packed: bytes, generation: int) -> _Held:
        held = self._hold(project, packed, generation)
        await self._store(project, held)
        await self._share(held, project)
        return held

    async def _from_redis(self, project: ProjectId) -> bytes | None:
        try:
            packed = raw(await self._shared.call(lambda redis: redis.hget(_key(project), "packed")))
            if packed is not None:
                schema.unpack(packed)
        except (UnreachableError, ValueError):
            return None
        if packed is not None:
            _loads.labels("redis").inc()
        return packed

    async def _from_table(self, project: ProjectId, other: bytes | None) -> bytes | None:
        try:
            packed = await self._records.snapshot(project)
        except DbifyError:
            if other is None:
                raise
            return None
        if packed is not None:
            _loads.labels("table").inc()
        return packed

    async def _from_introspector(self, project: ProjectId, at_least: int, other: bytes | None) -> bytes:
        try:
            packed = await self._introspector.newest(project, at_least)
        except DbifyError:
            if other is None:
                raise
            return other
        _loads.labels("introspector").inc()
        newest = _newer(packed, other)
        await self._store(project, _Held(Catalog(schema.unpack(newest)), newest, 0))
        return newest

    def _hold(self, project: ProjectId, packed: bytes, generation: int | None = None) -> _Held:
        try:
            catalog = Catalog(schema.unpack(packed))
        except ValueError as error:
            message = "The introspector answered no snapshot that this version can read."
            raise DbifyError(Code.SERVICE_UNAVAILABLE, message) from error
        held = _Held(catalog, packed, self._generation if generation is None else generation)
        before = self._held.get(project)
        if before is not None and before.catalog.version >= catalog.version:
            # The catalog that is there keeps what was compiled from it.
            held = before._replace(generation=max(before.generation, held.generation))
        self.forget(project)
        self._held[project] = held
        self._size_bytes += held.size_bytes
        while self._size_bytes > self._capacity_bytes and len(self._held) > 1:
            self.forget(next(iter(self._held)))
        _held.set(self._size_bytes)
        return held

    async def _store(self, project: ProjectId, held: _Held) -> None:
        try:
            await self._records.store_snapshot(project, held.catalog.version, held.packed)
        except DbifyError as error:
            log(_logger, "a snapshot was not stored", level=logging.WARNING, project=project, reason=error.message)

    async def _share(self, held: _Held, project: ProjectId) -> None:
        async def write(redis: Redis) -> None:
            await redis.eval(_PUT_NEWER, 1, _key(project), str(held.catalog.version), held.packed, str(KNOWN_FOR_S))

        try:
            await self._shared.call(write)
        except UnreachableError:
            return  # The table has it.


def _key(project: ProjectId) -> str:
    return f"dbify:schema:{project}"


def _version(packed: bytes) -> int:
    return schema.unpack(packed).version


def _newer(one: bytes, other: bytes | None) -> bytes:
    return one if other is None or _version(one) >= _version(other) else other
