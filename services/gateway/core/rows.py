"""How rows become JSON: the columns to take, and the expression that renders one row."""

from typing import Final, NamedTuple

from services.gateway.core import types
from services.gateway.core.catalog import Relation
from services.gateway.core.payload import Output
from services.gateway.core.statement import quoted
from services.gateway.core.where import Scope


class Rows(NamedTuple):
    """A list for SELECT or RETURNING, and a row of it, aliased `r`, as JSON text.

    `r.*`, not `r`: a column may have the alias's name.
    """

    columns: str
    json: str = "row_to_json(r.*)::text"
    whole: bool = False


# RETURNING takes no empty list, which is what a table without columns has.
_NO_COLUMNS: Final = Rows("1", "'{}'")


def rows(output: Output, scope: Scope) -> Rows:
    """The columns that are asked for, as the table has them or in the order of `select`.

    Raises:
        DbifyError: COLUMN_NOT_FOUND.
    """
    table = scope.relation.columns
    columns = list(table.values()) if output.columns is None else [scope.column(name) for name in output.columns]
    if not columns:
        return _NO_COLUMNS
    if output.columns is None and not output.stringify:
        return Rows(f"{scope.alias}.*", whole=True)
    listed = [scope.sql(column.name) for column in columns]
    if output.stringify:
        listed = [
            f"{types.stringified(column, sql)} AS {quoted(column.name)}"
            for column, sql in zip(columns, listed, strict=True)
        ]
    return Rows(", ".join(listed))


def relation_sql(relation: Relation) -> str:
    """The table as SQL."""
    return f"{quoted(relation.table.schema)}.{quoted(relation.table.name)}"
