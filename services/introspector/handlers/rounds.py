"""Look at the projects that are in use, each as often as it deserves."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import msgspec

from libs.common.bus import Message
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import Activity, SealedDatabase
from libs.common.telemetry import log
from services.introspector.core.pace import Outcome, next_interval_s
from services.introspector.core.versions import Snapshot
from services.introspector.handlers.waiting import first

# Fewer than looks, so that those asked for find a place.
MAX_ROUNDS: Final = 6
# Longer than a look may take.
LEASE_S: Final = 30
_EVERY_S: Final = 0.5
_DOWN_S: Final = 5.0
# Of one message; a gateway sends several where it has more.
_MAX_PROJECTS: Final = 10_000

_logger = logging.getLogger(__name__)
_activity = msgspec.json.Decoder(Activity)


class Due(NamedTuple):
    """A project whose time has come, as it was left last time."""

    project: ProjectId
    interval_s: float
    version: int
    watched: bool


class Schedule(Protocol):
    """When which project is looked at next, over all replicas."""

    async def active(self, projects: Sequence[ProjectId]) -> bool:
        """Note that projects are in use; whether any was not before, and so is due now."""

    async def take(self, limit: int, lease_s: float) -> Sequence[Due]:
        """Projects that are due and in use, which nobody else takes for as long as the lease lasts."""

    async def settle(self, project: ProjectId, interval_s: float, version: int) -> None:
        """Have it looked at again after so many seconds."""

    async def forget(self, project: ProjectId) -> None:
        """Look at it no more."""


class Looks(Protocol):
    """Takes looks."""

    async def take(self, project: ProjectId, database: SealedDatabase | None) -> Snapshot:
        """The newest snapshot after a look that starts now."""


class Rounds:
    """Looks at what is due; any number of replicas may do so at once."""

    def __init__(self, schedule: Schedule, looks: Looks) -> None:
        self._schedule = schedule
        self._looks = looks
        self._running: set[asyncio.Task[None]] = set()
        self._nudged = asyncio.Event()

    async def hear(self, message: Message) -> None:
        """A gateway tells which projects are in use."""
        try:
            told = _activity.decode(message.data)
        except msgspec.MsgspecError:
            log(_logger, "a message about activity could not be read", level=logging.WARNING)
            return
        with suppress(DbifyError):
            # Told again within seconds; without the platform database nobody could look anyway.
            if await self._schedule.active(told.projects[:_MAX_PROJECTS]):
                self._nudged.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set; looks under way are then given up, and another replica takes them."""
        try:
            while not stop.is_set():
                self._nudged.clear()
                wait_s = await self._start_due()
                await first(stop, self._nudged, timeout_s=wait_s)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _start_due(self) -> float:
        """Start looking at what is due; how long to wait until the next try."""
        room = MAX_ROUNDS - len(self._running)
        if room <= 0:
            return _EVERY_S
        try:
            due = await self._schedule.take(room, LEASE_S)
        except DbifyError as error:
            log(_logger, "no schedule to look by", level=logging.WARNING, reason=error.message)
            return _DOWN_S
        for entry in due:
            task = asyncio.create_task(self._round(entry))
            self._running.add(task)
            task.add_done_callback(self._done)
        return _EVERY_S

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._nudged.set()

    async def _round(self, due: Due) -> None:
        """Look once, and say when to look again."""
        outcome: Outcome = "failed"
        version = due.version
        try:
            version = (await self._looks.take(due.project, None)).version
            outcome = "changed" if version != due.version and due.version else "same"
        except DbifyError as error:
            if error.code is Code.PROJECT_NOT_FOUND:
                with suppress(DbifyError):
                    await self._schedule.forget(due.project)
                return
            log(_logger, "a project could not be looked at", project=due.project, code=error.code.name)
        except Exception:
            # A defect: it must not end the rounds of all others, and shows itself again at the next look.
            _logger.exception("a look failed", extra={"fields": {"project": due.project}})
        with suppress(DbifyError):
            # Else the lease's end brings it back.
            await self._schedule.settle(
                due.project, next_interval_s(due.interval_s, outcome, watched=due.watched), version
            )
