"""`run`: saved queries."""

import hashlib
from typing import Final, Protocol

import msgspec

from libs.common.errors import Code, DbifyError, Detail
from libs.common.ids import ProjectId
from services.gateway.core.catalog import Catalog
from services.gateway.core.json import Object, described
from services.gateway.core.limits import Limits, check_rows
from services.gateway.core.payload import only
from services.gateway.core.plan import Plan
from services.gateway.core.request import Request
from services.gateway.core.saved import Definition, plan
from services.gateway.handlers.running import Context, Result, Session, Step
from services.gateway.handlers.saved import SavedQuery
from services.gateway.handlers.targets import Target

_FIELDS: Final = ("query", "params", "readOnly")
# What the database says of a statement that no longer fits it, before it is explained.
_OUTDATED: Final = frozenset(
    {Code.SCHEMA_CHANGED, Code.OPERATOR_NOT_APPLICABLE, Code.INTERNAL_ERROR, Code.INVALID_VALUE}
)
_WOULD_WRITE: Final = "25006"


class Queries(Protocol):
    """Saved queries, held for a moment."""

    async def get(self, project: ProjectId, reference: str) -> SavedQuery:
        """The query of this name or id. QUERY_NOT_FOUND."""
        ...

    async def judged(self, project: ProjectId, query: SavedQuery) -> Definition:
        """Judge a query anew, against the database as it is now. INVALID_QUERY."""
        ...


class Results(Protocol):
    """Answers that are kept for a while; it may always turn out that there is none."""

    async def get(self, key: bytes) -> Result | None:
        """What was kept."""
        ...

    async def put(self, key: bytes, result: Result, seconds: int) -> None:
        """Keep an answer."""
        ...


class Run:
    """`Runner` of run."""

    def __init__(self, queries: Queries, results: Results) -> None:
        self._queries = queries
        self._results = results

    async def __call__(self, asked: Request, context: Context) -> Result:
        """Run a saved query, or answer what it answered a moment ago."""
        name, params = _asked(asked.payload)
        query = await self._queries.get(context.identity.project, name)
        definition = query.definition
        if asked.payload.get("readOnly") is True and definition.write:
            raise DbifyError(
                Code.METHOD_NOT_ALLOWED, f'The query "{query.name}" writes: run it by POST.', {"query": query.name}
            )
        target = await context.target()
        planned = plan(query.name, definition, params, target.limits.max_rows)
        context.entry.table = planned.table
        if definition.write or not definition.cache_s:
            return await self._run(query, planned, target.limits, context)
        key = _key(query, planned, target)
        kept = await self._results.get(key)
        if kept is None:
            kept = await self._run(query, planned, target.limits, context)
            await self._results.put(key, kept, definition.cache_s)
        return kept

    async def within(self, asked: Request, catalog: Catalog, session: Session, context: Context) -> Step:
        """A query that writes, as a step of a batch."""
        del catalog
        name, params = _asked(asked.payload)
        query = await self._queries.get(context.identity.project, name)
        if not query.definition.write:
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'The query "{query.name}" only reads, in a transaction of its own: run it outside of the batch.',
            )
        planned = plan(query.name, query.definition, params, 0)
        return Step(await session.run(planned), planned.table)

    async def _run(self, query: SavedQuery, planned: Plan, limits: Limits, context: Context) -> Result:
        try:
            if planned.write:
                return await context.run(planned)
            result = await context.transact(lambda session: session.run(planned), read_only=True)
        except DbifyError as error:
            raise await self._explained(error, query, context) from None
        check_rows(result.rows, limits)
        return result

    async def _explained(self, error: DbifyError, query: SavedQuery, context: Context) -> DbifyError:
        """What an error means to who did not write the SQL, and to who did."""
        state = error.details.get("sqlstate")
        details: dict[str, Detail] = {"query": query.name, "version": query.version}
        if state == _WOULD_WRITE and not query.definition.write:
            message = f'The query "{query.name}" is one that only reads, but would write: save it with "write": true.'
            return DbifyError(Code.INVALID_QUERY, message, details)
        if error.code not in _OUTDATED or not str(state).startswith("42"):
            return error
        try:
            await self._queries.judged(context.identity.project, query)
        except DbifyError as reason:
            if reason.code is not Code.INVALID_QUERY:
                return reason
            message = f'The query "{query.name}" no longer fits the database. {reason.message}'
            return DbifyError(Code.INVALID_QUERY, message, {**reason.details, **details})
        message = f'The query "{query.name}" was saved when the database had other types: save it again.'
        return DbifyError(Code.INVALID_QUERY, message, details)


def _asked(payload: Object) -> tuple[str, Object]:
    only(payload, _FIELDS, "A run")
    name, params = payload.get("query"), payload.get("params", {})
    if not isinstance(name, str):
        raise DbifyError(Code.INVALID_REQUEST, f'"query" must be a name, not {described(name)}.')
    if not isinstance(params, dict):
        raise DbifyError(Code.INVALID_REQUEST, f'"params" must be an object, not {described(params)}.')
    return name, params


def _key(query: SavedQuery, planned: Plan, target: Target) -> bytes:
    """What an answer hangs on, but for the rows."""
    parts = (query.id, query.version, target.version, target.limits, planned.arguments)
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()
