"""Databases that tell of changes by themselves, where their owner asked for it: looked at the moment they do."""

import asyncio
import logging
import random
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase, WatchRequest, WatchState
from libs.common.telemetry import log
from services.introspector.core.versions import Snapshot
from services.introspector.handlers.waiting import first

# Connections that a replica holds; projects beyond them are looked at as if they told nothing.
MAX_HELD: Final = 200
LEASE_S: Final = 10.0
_HOLD_EVERY_S: Final = 2.0
# A connection that went silent is found out, and so is a project's move to another database.
_ASK_EVERY_S: Final = 30.0
_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 60.0
# A migration in many transactions need not cause as many looks.
_LEAST_BETWEEN_S: Final = 0.2

_logger = logging.getLogger(__name__)


class Databases(Protocol):
    """How each project's database is reached."""

    async def database(self, project: ProjectId) -> SealedDatabase:
        """The project's database, sealed."""


class Listener(Protocol):
    """A database that is listened to."""

    async def told(self, within_s: float) -> bool:
        """Whether it told of a change in time. DATABASE_UNAVAILABLE where it is gone."""


class Triggers(Protocol):
    """What is installed in users' databases."""

    async def install(self, project: ProjectId, database: SealedDatabase) -> None:
        """Install it. DATABASE_PERMISSION_DENIED where the role may not."""

    async def remove(self, project: ProjectId, database: SealedDatabase) -> None:
        """Remove all of it."""

    def listen(self, project: ProjectId, database: SealedDatabase) -> AbstractAsyncContextManager[Listener]:
        """Listen to what it tells. NOT_FOUND where it is not installed."""


class Watched(Protocol):
    """Which projects are listened to, over all replicas."""

    async def add(self, project: ProjectId) -> None:
        """Have somebody listen to it."""

    async def remove(self, project: ProjectId) -> None:
        """Have nobody listen to it."""

    async def has(self, project: ProjectId) -> bool:
        """Whether somebody is to listen to it."""

    async def hold(self, limit: int, lease_s: float) -> frozenset[ProjectId]:
        """Those that this replica listens to, and nobody else while the lease lasts."""

    async def release(self) -> None:
        """Leave them to others."""


class Looks(Protocol):
    """Takes looks."""

    async def take(self, project: ProjectId, database: SealedDatabase | None) -> Snapshot:
        """The newest snapshot after a look that starts now."""


class Watching:
    """Installs, removes and listens."""

    def __init__(self, databases: Databases, triggers: Triggers, watched: Watched, looks: Looks) -> None:
        self._databases = databases
        self._triggers = triggers
        self._watched = watched
        self._looks = looks
        self._listening: dict[ProjectId, asyncio.Task[None]] = {}
        self._nudged = asyncio.Event()

    async def watch(self, request: WatchRequest) -> WatchState:
        """Answer `introspector.watch`."""
        database = await self._databases.database(request.project_id)
        await self._triggers.install(request.project_id, database)
        await self._watched.add(request.project_id)
        self._nudged.set()
        return WatchState(watched=True)

    async def unwatch(self, request: WatchRequest) -> WatchState:
        """Answer `introspector.unwatch`. Nobody listens afterwards, even where the database cannot be reached."""
        database = await self._databases.database(request.project_id)
        await self._watched.remove(request.project_id)
        self._nudged.set()
        await self._triggers.remove(request.project_id, database)
        return WatchState(watched=False)

    async def state(self, request: WatchRequest) -> WatchState:
        """Answer `introspector.watched`."""
        return WatchState(watched=await self._watched.has(request.project_id))

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until `stop` is set, then leave it to other replicas."""
        try:
            while not stop.is_set():
                self._nudged.clear()
                with suppress(DbifyError):
                    # Without the platform database what is held is kept: nobody else can take it either.
                    self._follow(await self._watched.hold(MAX_HELD, LEASE_S))
                await first(stop, self._nudged, timeout_s=_HOLD_EVERY_S)
        finally:
            self._follow(frozenset())
            with suppress(DbifyError):
                await self._watched.release()

    def _follow(self, held: frozenset[ProjectId]) -> None:
        """Listen to what is held, and to nothing else."""
        for project in self._listening.keys() - held:
            self._listening.pop(project).cancel()
        for project in held - self._listening.keys():
            self._listening[project] = asyncio.create_task(self._listen(project))

    async def _listen(self, project: ProjectId) -> None:
        """Listen for as long as the project is held, on one connection after the other."""
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                await self._connected(project)
                retry_s = _FIRST_RETRY_S
            except DbifyError as error:
                if error.code in {Code.NOT_FOUND, Code.PROJECT_NOT_FOUND}:
                    await self._gone(project)
                    return
                log(_logger, "a watched database is not heard", project=project, code=error.code.name)
            except Exception:
                # A defect: it must not silence this project for good, and the next try shows it again.
                _logger.exception("listening failed", extra={"fields": {"project": project}})
            await asyncio.sleep(retry_s * random.uniform(0.5, 1))  # noqa: S311  spreads tries, keeps no secret
            retry_s = min(retry_s * 2, _LAST_RETRY_S)

    async def _connected(self, project: ProjectId) -> None:
        """Listen on one connection; what was missed before it is looked at first."""
        database = await self._databases.database(project)
        async with self._triggers.listen(project, database) as listener:
            await self._looks.take(project, None)
            while True:
                if await listener.told(_ASK_EVERY_S):
                    await self._looks.take(project, None)
                    await asyncio.sleep(_LEAST_BETWEEN_S)
                elif (await self._databases.database(project)).version != database.version:
                    return

    async def _gone(self, project: ProjectId) -> None:
        """Somebody removed the trigger, or the project went away or moved."""
        log(_logger, "a watched database tells nothing any more", project=project)
        with suppress(DbifyError):
            await self._watched.remove(project)
