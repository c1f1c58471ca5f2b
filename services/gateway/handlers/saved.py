"""Saving queries and running them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId, new_id
from services.gateway.core.credentials import is_id
from services.gateway.core.pages import Page, Paging, cut
from services.gateway.core.saved import Asked, Declared, Definition, Described, Draft, not_found
from services.gateway.core.template import template

MAX_QUERIES: Final = 500
KEPT_VERSIONS: Final = 20


class SavedQuery(msgspec.Struct, frozen=True):
    """A saved query, in its newest version where nothing else is said."""

    id: str
    name: str
    version: int
    definition: Definition
    created_at: datetime
    updated_at: datetime


class Change(NamedTuple):
    """What to change of a query; None leaves it as it is."""

    name: str | None = None
    sql: str | None = None
    parameters: tuple[Declared, ...] | None = None
    write: bool | None = None
    cache_s: int | None = None
    description: str | None = None


class Records(Protocol):
    """Where queries are kept."""

    async def add(self, project: ProjectId, query: SavedQuery, limit: int) -> bool:
        """Keep a new one; False where the project has `limit` already. QUERY_NAME_TAKEN."""
        ...

    async def page(self, project: ProjectId, paging: Paging) -> list[SavedQuery]:
        """Up to one more than a page of them, newest first."""
        ...

    async def all(self, project: ProjectId) -> list[SavedQuery]:
        """All of them, by name."""
        ...

    async def names(self, project: ProjectId) -> list[str]:
        """What they are called."""
        ...

    async def find(self, project: ProjectId, reference: str) -> SavedQuery | None:
        """The one of this name or id."""
        ...

    async def replace(self, project: ProjectId, query: SavedQuery, keep: int) -> bool:
        """Keep a version that follows on the newest; False where another came in between. QUERY_NAME_TAKEN.

        Of the versions before, only the last `keep` with this one stay.
        """
        ...

    async def versions(self, project: ProjectId, query: str) -> list[SavedQuery]:
        """The versions that are kept of the one of this id, newest first."""
        ...

    async def delete(self, project: ProjectId, query: str) -> bool:
        """Forget one; False where there is no such one."""
        ...


class Describer(Protocol):
    """A project's database, asked about statements."""

    async def describe(self, project: ProjectId, sql: str) -> Described:
        """The types of a statement's parameters and columns; it is not run.

        Raises:
            DbifyError: INVALID_QUERY with `position` where the database cannot prepare it, or it cannot be reached.
        """
        ...


class SavedQueries:
    """The use cases of saving queries."""

    def __init__(self, records: Records, describer: Describer) -> None:
        self._records = records
        self._describer = describer

    async def create(self, project: ProjectId, asked: Asked) -> SavedQuery:
        """Save a query once the database has agreed to it."""
        definition = await self.judged(project, asked)
        now = datetime.now(UTC)
        query = SavedQuery(new_id(), asked.name, 1, definition, now, now)
        if not await self._records.add(project, query, MAX_QUERIES):
            message = f"The project has {MAX_QUERIES} saved queries, which is the limit: delete one."
            raise DbifyError(Code.FORBIDDEN, message, {"limit": MAX_QUERIES})
        return query

    async def list(self, project: ProjectId, paging: Paging) -> Page[SavedQuery]:
        """The project's queries, newest first."""
        paging.check(is_id)
        return cut(await self._records.page(project, paging), paging, lambda query: query.id)

    async def all(self, project: ProjectId) -> Sequence[SavedQuery]:
        """All of the project's queries, by name."""
        return await self._records.all(project)

    async def get(self, project: ProjectId, reference: str) -> SavedQuery:
        """The query of this name or id."""
        found = await self._records.find(project, reference)
        if found is None:
            raise not_found(reference, await self._records.names(project))
        return found

    async def versions(self, project: ProjectId, reference: str) -> Sequence[SavedQuery]:
        """A query's last versions, newest first."""
        query = await self.get(project, reference)
        return await self._records.versions(project, query.id)

    async def change(self, project: ProjectId, reference: str, change: Change) -> SavedQuery:
        """Make a new version, which is judged like a new query."""
        before = await self.get(project, reference)
        asked = _changed(before, change)
        definition = await self.judged(project, asked)
        query = msgspec.structs.replace(
            before, name=asked.name, version=before.version + 1, definition=definition, updated_at=datetime.now(UTC)
        )
        if not await self._records.replace(project, query, KEPT_VERSIONS):
            raise DbifyError(Code.TRANSACTION_CONFLICT, "The query was changed at the same time: try again.")
        return query

    async def delete(self, project: ProjectId, reference: str) -> None:
        """Forget a query."""
        query = await self.get(project, reference)
        await self._records.delete(project, query.id)

    async def judged(self, project: ProjectId, asked: Asked) -> Definition:
        """The query with what the project's database says of it. INVALID_QUERY."""
        draft = Draft(asked)
        try:
            described = await self._describer.describe(project, draft.inferring)
        except DbifyError as error:
            raise _placed(error, draft) from None
        definition = draft.defined(described)
        await self._describer.describe(project, definition.statement)
        return definition


def _placed(error: DbifyError, draft: Draft) -> DbifyError:
    """An error with its position in the SQL as its author wrote it."""
    position = error.details.get("position")
    if not isinstance(position, int):
        return error
    origin = draft.origin(position - 1) + 1
    return DbifyError(error.code, error.message, {**error.details, "position": origin})


def _changed(before: SavedQuery, change: Change) -> Asked:
    asked = before.definition.asked(change.name or before.name)
    sql = asked.sql if change.sql is None else change.sql
    if change.parameters is None:
        names = template(sql).names
        parameters = tuple(parameter for parameter in asked.parameters if parameter.name in names)
    else:
        parameters = change.parameters
    return msgspec.structs.replace(
        asked,
        sql=sql,
        parameters=parameters,
        write=asked.write if change.write is None else change.write,
        cache_s=asked.cache_s if change.cache_s is None else change.cache_s,
        description=asked.description if change.description is None else change.description,
    )
