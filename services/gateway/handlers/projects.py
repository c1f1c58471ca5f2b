"""Making, changing and deleting projects."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from libs.common import schema
from libs.common.errors import Code, DbifyError
from libs.common.ids import AccountId, KeyId, ProjectId, new_id
from libs.common.rpc import SealedDatabase
from libs.common.schema import Schema
from services.gateway.core.credentials import API_KEY, digest, shown
from services.gateway.core.limits import UNLIMITED, Limits
from services.gateway.core.pages import Page, Paging, cut
from services.gateway.handlers.credentials import new_credential
from services.gateway.handlers.keys import Key

# bigint: what a project's id can be.
MAX_PROJECT = 2**63 - 1
DEFAULT_TIMEOUT_MS = 10_000


class Project(msgspec.Struct, frozen=True):
    """A database somebody registered; where it is stays sealed."""

    id: ProjectId
    name: str
    database_version: int
    created_at: datetime
    updated_at: datetime
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    limits: Limits = UNLIMITED


class Created(msgspec.Struct, frozen=True):
    """A new project with its first key, whose text is shown this once."""

    project: Project
    key: Key
    api_key: str


class Records(Protocol):
    """Where projects are kept. Each write announces itself as an event, in the same transaction."""

    async def next_id(self) -> ProjectId:
        """An id that no other project has."""
        ...

    async def add(
        self, owner: AccountId, project: Project, database: SealedDatabase, snapshot: bytes, key: Key, key_hash: bytes
    ) -> None:
        """Keep a new project."""
        ...

    async def find(self, owner: AccountId, project: ProjectId) -> Project | None:
        """The owner's project of this id."""
        ...

    async def list(self, owner: AccountId, paging: Paging) -> list[Project]:
        """Up to one more than a page of the owner's projects."""
        ...

    async def rename(self, owner: AccountId, project: ProjectId, name: str) -> Project | None:
        """Give it another name; None where it is not there."""
        ...

    async def limit(
        self, owner: AccountId, project: ProjectId, limits: Mapping[str, float | None], timeout_ms: int | None
    ) -> Project | None:
        """Set those limits that are named; None where it is not there."""
        ...

    async def move(
        self, owner: AccountId, project: ProjectId, name: str | None, database: SealedDatabase, snapshot: bytes
    ) -> Project | None:
        """Point it to another database; None where it is not there, or has moved meanwhile."""
        ...

    async def delete(self, owner: AccountId, project: ProjectId) -> bool:
        """Forget it and end its keys; False where it is not there."""
        ...


class Sealer(Protocol):
    """Turns a URL that a user sent into one that may be kept and dialled."""

    async def seal(self, url: str, project: ProjectId, version: int) -> SealedDatabase:
        """Check where a URL leads, and seal it."""
        ...


class Introspector(Protocol):
    """Reads a database's catalog."""

    async def look(self, project: ProjectId, database: SealedDatabase) -> bytes:
        """The snapshot of a database, packed."""
        ...


class Schemas(Protocol):
    """The snapshots that this process holds."""

    async def learn(self, project: ProjectId, snapshot: bytes) -> None:
        """Hold a snapshot."""
        ...

    def forget(self, project: ProjectId) -> None:
        """Hold it no longer."""
        ...


class Targets(Protocol):
    """The databases that this process holds."""

    def forget(self, project: ProjectId) -> None:
        """Hold it no longer."""
        ...


class Projects:
    """The use cases of projects. Whatever is not the account's own is PROJECT_NOT_FOUND.

    Args:
        records: Where they are kept.
        sealer: Checks and seals database URLs.
        introspector: Takes the first look.
        schemas: Memory to fill and to clear.
        targets: Memory to clear.
        settle: Waits until every process has seen the end of a key.
    """

    def __init__(
        self,
        records: Records,
        sealer: Sealer,
        introspector: Introspector,
        schemas: Schemas,
        targets: Targets,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._records = records
        self._sealer = sealer
        self._introspector = introspector
        self._schemas = schemas
        self._targets = targets
        self._settle = settle

    async def create(self, owner: AccountId, name: str, url: str) -> Created:
        """Register a database: it can be queried the moment this answers, and nothing is kept where it fails."""
        project = await self._records.next_id()
        database = await self._sealer.seal(url, project, 1)
        snapshot = await self._look(project, database)
        now = datetime.now(UTC)
        text = new_credential(API_KEY)
        made = Created(
            project=Project(project, name, 1, now, now),
            key=Key(KeyId(new_id()), "default", shown(text), "", now, None, None),
            api_key=text,
        )
        await self._records.add(owner, made.project, database, snapshot, made.key, digest(text))
        await self._schemas.learn(project, snapshot)
        return made

    async def get(self, owner: AccountId, project: ProjectId) -> Project:
        """One project of the account's."""
        found = await self._records.find(owner, project) if 0 < project <= MAX_PROJECT else None
        if found is None:
            raise _not_found(project)
        return found

    async def list(self, owner: AccountId, paging: Paging) -> Page[Project]:
        """The account's projects, newest first."""
        paging.check(_is_project)
        return cut(await self._records.list(owner, paging), paging, lambda project: str(project.id))

    async def change(self, owner: AccountId, project: ProjectId, name: str | None, url: str | None) -> Project:
        """Rename a project, or point it to another database, which is looked at first."""
        before = await self.get(owner, project)
        changed: Project | None
        if url is not None:
            changed = await self._move(owner, before, name, url)
        elif name is not None:
            changed = await self._records.rename(owner, project, name)
        else:
            raise DbifyError(Code.INVALID_REQUEST, "Nothing to change: send name, databaseUrl, or both.")
        if changed is None:
            raise _not_found(project)
        return changed

    async def limit(
        self, owner: AccountId, project: ProjectId, limits: Mapping[str, float | None], timeout_ms: int | None
    ) -> Project:
        """Set the limits that are named, by the names of `Limits` in JSON; null puts one back."""
        changed = await self._records.limit(owner, project, limits, timeout_ms)
        if changed is None:
            raise _not_found(project)
        self._targets.forget(project)
        return changed

    async def delete(self, owner: AccountId, project: ProjectId) -> None:
        """Forget a project; its keys have stopped working everywhere when this answers."""
        await self.get(owner, project)
        if not await self._records.delete(owner, project):
            raise _not_found(project)
        self._schemas.forget(project)
        self._targets.forget(project)
        await self._settle()

    async def _move(self, owner: AccountId, before: Project, name: str | None, url: str) -> Project:
        database = await self._sealer.seal(url, before.id, before.database_version + 1)
        snapshot = await self._look(before.id, database)
        changed = await self._records.move(owner, before.id, name, database, snapshot)
        if changed is None:
            raise DbifyError(Code.TRANSACTION_CONFLICT, "The project was changed at the same time: try again.")
        self._targets.forget(before.id)
        await self._schemas.learn(before.id, snapshot)
        return changed

    async def _look(self, project: ProjectId, database: SealedDatabase) -> bytes:
        snapshot = await self._introspector.look(project, database)
        _read(snapshot)
        return snapshot


def _read(snapshot: bytes) -> Schema:
    try:
        return schema.unpack(snapshot)
    except ValueError as error:
        message = "The introspector answered no snapshot that this version can read."
        raise DbifyError(Code.SERVICE_UNAVAILABLE, message) from error


def _is_project(text: str) -> bool:
    return text.isascii() and text.isdecimal() and 0 < int(text[:20]) <= MAX_PROJECT


def _not_found(project: int) -> DbifyError:
    return DbifyError(Code.PROJECT_NOT_FOUND, f"No project {project}, or it is not yours.", {"projectId": project})
