"""The operations that are one statement each."""

from services.gateway.core.catalog import Catalog
from services.gateway.core.limits import limited
from services.gateway.core.plan import plan
from services.gateway.core.request import Request
from services.gateway.handlers.running import Context, Result, Session, Step


class Statements:
    """`Runner` of read, create, update, delete."""

    async def __call__(self, asked: Request, context: Context) -> Result:
        """Plan the request and run its statement."""
        asked = limited(asked, (await context.target()).limits)

        async def once(catalog: Catalog) -> Result:
            relation = catalog.resolve(asked.table)
            context.entry.table = relation.name
            planned = plan(asked, relation)
            context.entry.columns = planned.columns
            return await context.run(planned)

        return await context.planned(once)

    async def within(self, asked: Request, catalog: Catalog, session: Session, context: Context) -> Step:
        """The same in a batch's transaction."""
        asked = limited(asked, (await context.target()).limits)
        relation = catalog.resolve(asked.table)
        planned = plan(asked, relation)
        return Step(await session.run(planned), relation.name, planned.columns)
