"""Look at a project's database: the newest snapshot, and a new version where the structure has changed."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from prometheus_client import Counter, Histogram

from libs.common.changes import Impact
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import LookRequest, SealedDatabase, SnapshotRequest
from libs.common.telemetry import log
from services.introspector.core.assemble import Reading
from services.introspector.core.telling import Question, Told
from services.introspector.core.versions import Snapshot, concerned, following
from services.introspector.handlers.turns import Turns

LOOK_TIMEOUT_S: Final = 20.0
MAX_LOOKS: Final = 8

_logger = logging.getLogger(__name__)

looks = Counter("dbify_introspector_looks_total", "Looks at databases by what came of them.", ["outcome"])
duration = Histogram(
    "dbify_introspector_look_seconds", "How long a look took.", buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
)


class Databases(Protocol):
    """How each project's database is reached."""

    async def database(self, project: ProjectId) -> SealedDatabase:
        """The project's database, sealed."""


class Catalog(Protocol):
    """The catalog of one database."""

    async def read(self, known: str) -> Reading | None:
        """All of it, or None where its fingerprint is the known one."""


class Catalogs(Protocol):
    """The databases themselves."""

    def open(self, project: ProjectId, database: SealedDatabase) -> AbstractAsyncContextManager[Catalog]:
        """A connection to one."""


class Page(Protocol):
    """A project's snapshots while no other look writes to them."""

    latest: Snapshot | None

    async def save(self, snapshot: Snapshot) -> None:
        """Write a version, the newest anew or the next."""

    async def confirm(self, snapshot: Snapshot, database_version: int) -> None:
        """Note that the newest version was seen to be still true."""

    async def tell(self, told: Told) -> None:
        """Keep what changed, and send an event of it once all is committed."""


class Snapshots(Protocol):
    """All projects' snapshots."""

    async def latest(self, project: ProjectId) -> Snapshot | None:
        """The newest snapshot, or None before the first look."""

    def held(self, project: ProjectId) -> AbstractAsyncContextManager[Page]:
        """A project's page: committed at the end, or not at all."""


class Impacts(Protocol):
    """Whom changes concern."""

    async def of(self, project: ProjectId, question: Question) -> Impact:
        """Those who used these tables and columns; answered within seconds, if not whole."""


class Looks:
    """Takes looks, one at a time a project.

    Args:
        turns: How many looks there are at once; their keys are projects and the URLs they were asked with.
        nudge: Called when an event was committed and can be sent.
    """

    def __init__(
        self,
        databases: Databases,
        catalogs: Catalogs,
        snapshots: Snapshots,
        impacts: Impacts,
        turns: Turns[tuple[ProjectId, str], Snapshot],
        nudge: Callable[[], None],
    ) -> None:
        self._databases = databases
        self._catalogs = catalogs
        self._snapshots = snapshots
        self._impacts = impacts
        self._nudge = nudge
        self._turns = turns

    async def look(self, request: LookRequest) -> bytes:
        """Answer `introspector.look`."""
        return (await self.take(request.project_id, request.database)).packed

    async def snapshot(self, request: SnapshotRequest) -> bytes:
        """Answer `introspector.snapshot`."""
        stored = await self._snapshots.latest(request.project_id)
        if stored is None or stored.version < request.at_least:
            stored = await self.take(request.project_id, None)
        return stored.packed

    async def take(self, project: ProjectId, database: SealedDatabase | None) -> Snapshot:
        """The newest snapshot after a look that starts now.

        Args:
            project: Whose database.
            database: Where it is; None asks the gateway.

        Raises:
            DbifyError: What kept it from being read or the snapshot from being saved.
        """
        key = (project, "" if database is None else database.sealed)
        return await self._turns.take(key, lambda: self._timed(project, database))

    async def _timed(self, project: ProjectId, database: SealedDatabase | None) -> Snapshot:
        outcome = "failed"
        try:
            with duration.time():
                async with asyncio.timeout(LOOK_TIMEOUT_S):
                    outcome, snapshot = await self._look(project, database)
        except TimeoutError as error:
            outcome = "timeout"
            raise DbifyError(
                Code.QUERY_TIMEOUT, f"The database did not show its catalog within {LOOK_TIMEOUT_S:.0f} s."
            ) from error
        finally:
            looks.labels(outcome).inc()
        if outcome in {"first", "changed"}:
            log(_logger, "a project's schema has a new version", project=project, version=snapshot.version)
        return snapshot

    async def _look(self, project: ProjectId, given: SealedDatabase | None) -> tuple[str, Snapshot]:
        """What came of it, and the newest snapshot.

        The project's page is held while the catalog is read, not only while it is saved: of two looks the later reader
        is then the later writer, and an older state never follows a newer one.
        """
        database = given or await self._databases.database(project)
        async with self._catalogs.open(project, database) as catalog, self._snapshots.held(project) as page:
            before = page.latest
            if before is not None and given is None and await self._superseded(project, database, before):
                return "superseded", before
            reading = await catalog.read("" if before is None else before.fingerprint)
            if reading is None and before is not None:
                await page.confirm(before, database.version)
                return "unchanged", before
            after, changes = await asyncio.to_thread(following, before, _complete(reading), database.version)
            await page.save(after)
            changed = before is not None and after.version > before.version
            if before is not None and changed:
                question = await asyncio.to_thread(concerned, before, changes)
                impact = await self._impacts.of(project, question)
                await page.tell(Told(before.version, after.version, changes, impact))
        if changed:
            self._nudge()
        return ("first" if before is None else "changed" if changed else "same"), after

    async def _superseded(self, project: ProjectId, database: SealedDatabase, before: Snapshot) -> bool:
        """Whether the project got another database meanwhile, and that one has been looked at."""
        if before.database_version <= database.version:
            return False
        return (await self._databases.database(project)).version > database.version


def _complete(reading: Reading | None) -> Reading:
    if reading is None:
        raise AssertionError("no fingerprint was known, so there is a reading")
    return reading
