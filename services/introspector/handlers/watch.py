"""Follow the projects: a snapshot for each that is made, none for one that is gone."""

import logging
from typing import Final, Protocol

import msgspec

from libs.common.bus import Message, Poison
from libs.common.errors import Code, DbifyError
from libs.common.events import ProjectCreated, ProjectDeleted, ProjectUpdated, type_of
from libs.common.ids import ProjectId
from libs.common.rpc import SealedDatabase
from libs.common.telemetry import log
from services.introspector.core.versions import Snapshot

# Some two minutes, as the bus spaces them. A database that is down longer is looked at when it is next asked about.
MAX_DELIVERIES: Final = 8
# What another try soon may mend.
_PASSING: Final = frozenset({Code.DATABASE_UNAVAILABLE, Code.QUERY_TIMEOUT, Code.TRANSACTION_CONFLICT})
# Dbify's own parts are down: this comes to an end, so it is tried until then.
_OURS: Final = frozenset(
    {Code.PLATFORM_UNAVAILABLE, Code.SERVICE_UNAVAILABLE, Code.SERVICE_TIMEOUT, Code.INTERNAL_ERROR}
)

_logger = logging.getLogger(__name__)


class _Event(msgspec.Struct, frozen=True):
    """As much of an event as tells what it is about."""

    type: str
    projectid: ProjectId


_event = msgspec.json.Decoder(_Event)


class Snapshots(Protocol):
    """All projects' snapshots."""

    async def latest(self, project: ProjectId) -> Snapshot | None:
        """The newest snapshot, or None before the first look."""

    async def delete(self, project: ProjectId) -> None:
        """Forget a project."""


class Looks(Protocol):
    """Takes looks."""

    async def take(self, project: ProjectId, database: SealedDatabase | None) -> Snapshot:
        """The newest snapshot after a look that starts now."""


class Watch:
    """Handles the events of the `PROJECT_WATCHER` consumer; each may come again, and in any order."""

    def __init__(self, snapshots: Snapshots, looks: Looks) -> None:
        self._snapshots = snapshots
        self._looks = looks

    async def __call__(self, message: Message) -> None:
        """Do what the event asks for. Returning means it is settled; an exception means try again."""
        try:
            event = _event.decode(message.data)
        except msgspec.MsgspecError as error:
            raise Poison(f"not an event that can be read: {error}") from error
        project = event.projectid
        if event.type == type_of(ProjectDeleted):
            await self._snapshots.delete(project)
        elif event.type == type_of(ProjectUpdated) or (
            event.type == type_of(ProjectCreated) and await self._snapshots.latest(project) is None
        ):
            await self._look(project, message.deliveries)

    async def _look(self, project: ProjectId, deliveries: int) -> None:
        """See which database the project has now; nothing is read twice where nothing changed."""
        try:
            await self._looks.take(project, None)
        except DbifyError as error:
            if error.code in _OURS or (error.code in _PASSING and deliveries < MAX_DELIVERIES):
                raise
            log(_logger, "a project's database could not be looked at", project=project, code=error.code.name)
