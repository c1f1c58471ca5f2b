"""`call`: the database's own functions."""

from typing import Final
from weakref import WeakKeyDictionary

from libs.common.errors import Code, DbifyError
from services.gateway.core.catalog import Catalog
from services.gateway.core.functions import Functions, plan
from services.gateway.core.limits import check_rows
from services.gateway.core.plan import Plan
from services.gateway.core.request import Request
from services.gateway.handlers.running import Context, Result, Session, Step

# undefined_function: gone since the snapshot, or with other arguments.
_UNDEFINED: Final = "42883"


class Call:
    """`Runner` of call."""

    def __init__(self) -> None:
        self._functions: WeakKeyDictionary[Catalog, Functions] = WeakKeyDictionary()

    async def __call__(self, asked: Request, context: Context) -> Result:
        """Call a function; a volatile one, or a procedure, as a write."""
        limits = (await context.target()).limits

        async def once(catalog: Catalog) -> Result:
            planned = self._planned(asked, catalog, limits.max_rows)
            context.entry.table = planned.table
            try:
                return await context.run(planned)
            except DbifyError as error:
                raise _explained(error, planned) from None

        result = await context.planned(once)
        check_rows(result.rows, limits)
        return result

    async def within(self, asked: Request, catalog: Catalog, session: Session, context: Context) -> Step:
        """The same as a step of a batch."""
        limits = (await context.target()).limits
        planned = self._planned(asked, catalog, limits.max_rows)
        return Step(await session.run(planned), planned.table)

    def _planned(self, asked: Request, catalog: Catalog, max_rows: int) -> Plan:
        functions = self._functions.get(catalog)
        if functions is None:
            functions = self._functions[catalog] = Functions(catalog.schema)
        return plan(functions.resolve(asked.payload), max_rows)


def _explained(error: DbifyError, planned: Plan) -> DbifyError:
    if error.code is Code.OPERATOR_NOT_APPLICABLE and error.details.get("sqlstate") == _UNDEFINED:
        name = planned.table.partition("/")[2]
        message = f'The function "{name}" is no longer there, or takes other arguments: try again.'
        return DbifyError(Code.SCHEMA_CHANGED, message, error.details)
    return error
