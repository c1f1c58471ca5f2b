"""Where each project's database is: opened from its sealed URL, kept for a while, read again in the background."""

import asyncio
import logging
import time
from typing import Final, NamedTuple, Protocol

import msgspec

from libs.common import dsn
from libs.common.addresses import Guard
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase
from libs.common.sealing import Keyring
from libs.common.telemetry import log
from services.gateway.adapters.bounded import Bounded
from services.gateway.adapters.redis import Shared, UnreachableError, raw
from services.gateway.core.limits import UNLIMITED, Limits
from services.gateway.handlers.targets import Target

# A process that missed the event of a change goes on with the old database for this long.
FRESH_FOR_S: Final = 10.0
# How long a database goes on being served from Redis while Postgres is down.
KNOWN_FOR_S: Final = 3600
_MAX_PROJECTS = 20_000

_logger = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, array_like=True):
    """A project's database as it is stored, still sealed."""

    database: SealedDatabase
    connections: int
    timeout_ms: int
    limits: Limits = UNLIMITED


class Records(Protocol):
    """Projects in Postgres."""

    async def settings(self, project: ProjectId) -> Settings | None:
        """A project's sealed database with its limits."""
        ...


class _Known(NamedTuple):
    settings: Settings
    target: Target
    read_at: float


class Targets:
    """`handlers.targets.Targets`."""

    def __init__(self, records: Records, shared: Shared, keyring: Keyring) -> None:
        self._records = records
        self._shared = shared
        self._keyring = keyring
        self._known: Bounded[ProjectId, _Known] = Bounded(_MAX_PROJECTS)
        self._under_way: dict[ProjectId, asyncio.Task[Target]] = {}

    async def target(self, project: ProjectId) -> Target:
        """Where a project's database is. PROJECT_NOT_FOUND or PLATFORM_UNAVAILABLE."""
        known = self._known.get(project)
        if known is None:
            return await asyncio.shield(self._start(project))
        if time.monotonic() - known.read_at > FRESH_FOR_S:
            self._start(project)
        return known.target

    def forget(self, project: ProjectId) -> None:
        """The project changed or is gone."""
        self._known.pop(project)
        self._under_way.pop(project, None)

    def _start(self, project: ProjectId) -> "asyncio.Task[Target]":
        task = self._under_way.get(project)
        if task is None:
            task = asyncio.create_task(self._read(project))
            self._under_way[project] = task
            task.add_done_callback(lambda done: self._done(project, done))
        return task

    def _done(self, project: ProjectId, task: "asyncio.Task[Target]") -> None:
        if self._under_way.get(project) is task:
            del self._under_way[project]
        if not task.cancelled() and (error := task.exception()) is not None:
            log(_logger, "no database", level=logging.WARNING, project=project, reason=type(error).__name__)

    async def _read(self, project: ProjectId) -> Target:
        began = time.monotonic()
        try:
            settings = await self._records.settings(project)
        except DbifyError:
            settings = await self._from_redis(project)
            if settings is None:
                raise
        else:
            await self._share(project, settings)
        if settings is None:
            self._known.pop(project)
            raise DbifyError(Code.PROJECT_NOT_FOUND, f"No project {project}.", {"projectId": project})
        return self._keep(project, settings, began)

    def _keep(self, project: ProjectId, settings: Settings, began: float) -> Target:
        database = settings.database
        known = self._known.get(project)
        if known is not None and known.target.version > database.version:
            return known.target
        if known is not None and known.settings == settings:
            # The same object, so that whoever holds connections sees at once that nothing changed.
            self._known.put(project, known._replace(read_at=began))
            return known.target
        url = self._keyring.open(database.sealed, *context(project, database.version)).decode()
        target = Target(
            dsn=dsn.parse(url),
            addresses=tuple(database.addresses),
            version=database.version,
            connections=settings.connections,
            timeout_ms=settings.timeout_ms,
            limits=settings.limits,
        )
        self._known.put(project, _Known(settings, target, began))
        return target

    async def _from_redis(self, project: ProjectId) -> Settings | None:
        try:
            stored = raw(await self._shared.call(lambda redis: redis.get(_key(project))))
            return None if stored is None else msgspec.msgpack.decode(stored, type=Settings)
        except (UnreachableError, msgspec.MsgspecError):
            return None

    async def _share(self, project: ProjectId, settings: Settings | None) -> None:
        """The URL stays sealed there; without a project there is nothing to keep."""
        try:
            if settings is None:
                await self._shared.call(lambda redis: redis.delete(_key(project)))
            else:
                stored = msgspec.msgpack.encode(settings)
                await self._shared.call(lambda redis: redis.set(_key(project), stored, ex=KNOWN_FOR_S))
        except UnreachableError:
            return


class Sealer:
    """`handlers.projects.Sealer`: parses a URL, checks where it leads, and seals it."""

    def __init__(self, guard: Guard, keyring: Keyring) -> None:
        self._guard = guard
        self._keyring = keyring

    async def seal(self, url: str, project: ProjectId, version: int) -> SealedDatabase:
        """The sealed URL with its checked addresses. INVALID_DATABASE_URL or ADDRESS_FORBIDDEN."""
        database = dsn.parse(url)
        addresses = await self._guard.resolve(database.host, database.port)
        sealed = self._keyring.seal(url.encode(), *context(project, version))
        return SealedDatabase(project, sealed, version, list(addresses))


def context(project: ProjectId, version: int) -> tuple[str, str, str]:
    """What a sealed database URL is bound to."""
    return str(project), "database", str(version)


def _key(project: ProjectId) -> str:
    return f"dbify:database:{project}"
