"""What the gateway hears, asks and answers over NATS."""

import logging
from typing import Any, Protocol

import msgspec

from libs.common.bus import Bus, Message, method
from libs.common.errors import Code, DbifyError
from libs.common.events import CloudEvent, SchemaChanged
from libs.common.ids import ProjectId
from libs.common.rpc import (
    DatabaseRequest,
    LookRequest,
    Owner,
    OwnerRequest,
    SealedDatabase,
    SnapshotRequest,
)
from libs.common.telemetry import log
from services.gateway.adapters.targets import Settings

# Reading the catalog of a large database on a slow network.
_FIRST_LOOK_S = 30
_LOOK_S = 15
_SNAPSHOT_S = 10

_logger = logging.getLogger(__name__)
_schema_changed = msgspec.json.Decoder(CloudEvent[SchemaChanged])


class Introspector:
    """The introspector, by request and reply. Snapshots come packed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def check(self) -> None:
        """For readiness: raises where NATS is down."""
        if not self._bus.connected:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "NATS is not connected.")

    async def look(self, project: ProjectId, database: SealedDatabase) -> bytes:
        """The first snapshot of a database that is not stored yet."""
        return await self._bus.request("introspector", "look", LookRequest(project, database), timeout_s=_FIRST_LOOK_S)

    async def look_again(self, project: ProjectId) -> bytes:
        """The snapshot after a look that is taken now."""
        return await self._bus.request("introspector", "look", LookRequest(project), timeout_s=_LOOK_S)

    async def newest(self, project: ProjectId, at_least: int) -> bytes:
        """The newest snapshot; a look is taken where it is older than `at_least`."""
        return await self._bus.request(
            "introspector", "snapshot", SnapshotRequest(project, at_least), timeout_s=_SNAPSHOT_S
        )


class Projects(Protocol):
    """What other services ask about projects."""

    async def settings(self, project: ProjectId) -> Settings | None:
        """A project's sealed database with its limits."""
        ...

    async def owner(self, project: ProjectId) -> Owner | None:
        """Whom to write to about a project."""
        ...


class Schemas(Protocol):
    """Snapshots in memory."""

    async def changed(self, project: ProjectId, version: int) -> None:
        """An event told of this version."""
        ...

    async def revalidate(self) -> None:
        """Events may have been missed."""
        ...

    def forget(self, project: ProjectId) -> None:
        """Hold it no longer."""
        ...


class Targets(Protocol):
    """Databases in memory."""

    def forget(self, project: ProjectId) -> None:
        """Hold it no longer."""
        ...


async def answer(bus: Bus, projects: Projects) -> None:
    """Serve `dbify.rpc.gateway.database` and `.owner`."""

    async def database(request: DatabaseRequest) -> SealedDatabase:
        settings = await projects.settings(request.project_id)
        if settings is None:
            raise _not_found(request.project_id)
        return settings.database

    async def owner(request: OwnerRequest) -> Owner:
        found = await projects.owner(request.project_id)
        if found is None:
            raise _not_found(request.project_id)
        return found

    await bus.serve("gateway", {"database": method(DatabaseRequest, database), "owner": method(OwnerRequest, owner)})


async def listen(bus: Bus, schemas: Schemas, targets: Targets) -> None:
    """Keep memory in step with what other processes say; what was missed while cut off is checked afterwards."""

    async def schema_changed(message: Message) -> None:
        event = _decoded(message)
        if event is not None:
            await schemas.changed(event.projectid, event.data.to_version)

    async def project_changed(message: Message) -> None:
        project = _project(message)
        if project is not None:
            targets.forget(project)

    async def project_deleted(message: Message) -> None:
        project = _project(message)
        if project is not None:
            targets.forget(project)
            schemas.forget(project)

    bus.on_connect(schemas.revalidate)
    await bus.subscribe("dbify.events.*.schema.changed", schema_changed)
    await bus.subscribe("dbify.events.*.project.updated", project_changed)
    await bus.subscribe("dbify.events.*.project.deleted", project_deleted)


def _decoded(message: Message) -> "CloudEvent[SchemaChanged] | None":
    try:
        event: CloudEvent[Any] = _schema_changed.decode(message.data)
    except msgspec.MsgspecError:
        log(_logger, "an event could not be read", level=logging.WARNING, subject=message.subject)
        return None
    return event


def _project(message: Message) -> ProjectId | None:
    """The project out of `dbify.events.<project>.<noun>.<verb>`."""
    token = message.subject.split(".")[2]
    return ProjectId(int(token)) if token.isdecimal() else None


def _not_found(project: ProjectId) -> DbifyError:
    return DbifyError(Code.PROJECT_NOT_FOUND, f"No project {project}.", {"projectId": project})
