"""A read as a statement."""

# ruff: noqa: S608  # Names are quoted from the snapshot, and values are parameters: no text of a request is in the SQL.

from collections.abc import Iterator
from typing import Final

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core import types
from services.gateway.core.catalog import Relation
from services.gateway.core.conditions import And, Node, Test
from services.gateway.core.lanes import lane
from services.gateway.core.payload import READ_WORDS, Order, Read
from services.gateway.core.rows import Rows, relation_sql, rows
from services.gateway.core.statement import MAX_RESULT_BYTES, Parameters, Statement
from services.gateway.core.values import digits_of
from services.gateway.core.where import TRUE, Scope, where

_WORDS: Final = tuple(sorted(READ_WORDS))


def read(shape: Read, relation: Relation) -> Statement:
    """The statement that reads rows as a JSON array.

    Raises:
        DbifyError: COLUMN_NOT_FOUND, OPERATOR_NOT_APPLICABLE.
    """
    scope = Scope(relation, "t", Parameters(), _WORDS if shape.shorthand else ())
    condition = where(shape.where, scope)
    found = f"{relation_sql(relation)} AS t{'' if condition == TRUE else f' WHERE {condition}'}"
    listed = rows(shape.output, scope)
    source, json = _by_key(found, listed) if _names_one_row(shape, relation) else _page(found, listed, shape, scope)
    count = f"(SELECT count(*) FROM {found})" if shape.count else "NULL::bigint"
    sql = (
        f"SELECT CASE WHEN octet_length(a.data) <= {MAX_RESULT_BYTES} THEN a.data END AS data, "
        f"{count} AS count, a.rows, octet_length(a.data) AS size "
        f"FROM (SELECT '[' || coalesce(string_agg({json}, ','), '') || ']' AS data, count(*) AS rows "
        f"FROM {source}) AS a"
    )
    statement = scope.parameters.statement(sql, write=False)
    if not _names_one_row(shape, relation):
        return statement
    return msgspec.structs.replace(statement, lane=lane(shape, relation, statement.slots))


def _by_key(found: str, listed: Rows) -> tuple[str, str]:
    if listed.whole:
        return found, "row_to_json(t.*)::text"
    return f"(SELECT {listed.columns} FROM {found}) AS r", listed.json


def _page(found: str, listed: Rows, shape: Read, scope: Scope) -> tuple[str, str]:
    order = _order(shape.order, scope)
    offset = f" OFFSET {scope.parameters.text(('offset',), digits_of)}::bigint" if shape.offset else ""
    return f"(SELECT {listed.columns} FROM {found}{order} LIMIT {shape.limit}{offset}) AS r", listed.json


def _names_one_row(shape: Read, relation: Relation) -> bool:
    """Whether a key is given whole, so that an order and a limit could only cost time."""
    if shape.offset or not shape.limit or shape.order:
        return False
    given = frozenset(_given(shape.where))
    return any(key <= given for key in relation.keys)


def _given(node: Node) -> Iterator[str]:
    for test in node.parts if isinstance(node, And) else (node,):
        if isinstance(test, Test) and test.operator == "equals" and not test.insensitive and not test.inside:
            yield test.column


def _order(keys: tuple[Order, ...], scope: Scope) -> str:
    terms: dict[str, str] = {}
    for key in keys:
        terms.setdefault(key.column, _term(key, scope))
    # With the primary key at its end an order is total, so that pages neither overlap nor leave a row out.
    for column in scope.relation.table.primary_key:
        terms.setdefault(column, scope.sql(column))
    return f" ORDER BY {', '.join(terms.values())}" if terms else ""


def _term(key: Order, scope: Scope) -> str:
    column = scope.column(key.column)
    if not types.is_ordered(column) and not types.is_equal(column):
        raise DbifyError(
            Code.OPERATOR_NOT_APPLICABLE,
            f'"{column.name}" ({column.type}) has no order: leave it out of "orderBy".',
            {"column": column.name, "type": column.type, "operator": "orderBy"},
        )
    nulls = f" NULLS {key.nulls.upper()}" if key.nulls else ""
    return f"{scope.sql(key.column)}{' DESC' if key.descending else ''}{nulls}"
