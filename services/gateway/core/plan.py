"""A request as one statement with its arguments."""

from typing import Final

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.catalog import Relation
from services.gateway.core.payload import Create, Read, Shape, Update, shape
from services.gateway.core.read import read
from services.gateway.core.request import Request
from services.gateway.core.statement import MAX_RESULT_BYTES, Argument, Lane, Statement
from services.gateway.core.write import create, delete, update

__all__ = ["MAX_RESULT_BYTES", "TOO_LARGE_SQLSTATE", "Argument", "Plan", "plan"]

# A write whose rows would be larger fails by this SQLSTATE (invalid_argument_for_width_bucket_function), so that
# nothing is written that cannot be answered. Means RESULT_TOO_LARGE.
TOO_LARGE_SQLSTATE: Final = "2201G"


class Plan(msgspec.Struct, frozen=True):
    """One statement that answers a request.

    It gives exactly one row, with these columns:

    - `data text`: the JSON of `data` in the answer; '' where the answer has no data; NULL where it would be larger
      than `MAX_RESULT_BYTES` (reads only).
    - `count bigint`: the answer's `count`, NULL where it has none.
    - `rows bigint`: how many rows were read or written.
    - `size integer`: the bytes of `data`, also where that is NULL.

    Attributes:
        sql: The statement; its identifiers come from the snapshot, and no value of the request stands in it.
        arguments: The parameters, each text or an array of texts.
        write: Whether it changes rows.
        table: The table as `schema.table`.
        columns: The columns the request named.
        silent: It is a CALL, which gives no such row and may end transactions itself.
        lane: How it may travel together with others.
    """

    sql: str
    arguments: tuple[Argument, ...]
    write: bool
    table: str
    columns: tuple[str, ...]
    silent: bool = False
    lane: Lane | None = None


def plan(request: Request, relation: Relation) -> Plan:
    """The statement that answers a request, compiled once for all requests of its shape.

    Raises:
        DbifyError: What is wrong with the payload, by itself or with this table.
    """
    try:
        form = shape(request.operation, request.payload)
        statement = relation.statements.get(relation, form)
        if statement is None:
            statement = relation.statements.keep(relation, form, compiled(form, relation))
        arguments = statement.bind(request.payload)
    except RecursionError:
        raise DbifyError(Code.TOO_COMPLEX, "The payload nests too deep: flatten it.") from None
    return Plan(statement.sql, arguments, statement.write, relation.name, statement.columns, lane=statement.lane)


def compiled(form: Shape, relation: Relation) -> Statement:
    """The statement for a shape. It sees no value: they stay in the payload until they are bound."""
    if isinstance(form, Read):
        return read(form, relation)
    if isinstance(form, Create):
        return create(form, relation)
    if isinstance(form, Update):
        return update(form, relation)
    return delete(form, relation)
