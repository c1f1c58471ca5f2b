"""Creates, updates and deletes as statements."""

# ruff: noqa: S608  # Names are quoted from the snapshot, and values are parameters: no text of a request is in the SQL.

from typing import Final, Literal

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column
from services.gateway.core import types
from services.gateway.core.catalog import Relation
from services.gateway.core.conditions import constant
from services.gateway.core.payload import Assignment, Create, Delete, Output, Step, Update
from services.gateway.core.rows import relation_sql, rows
from services.gateway.core.statement import MAX_RESULT_BYTES, Parameters, Statement, quoted
from services.gateway.core.values import Values, count_of
from services.gateway.core.where import TRUE, Scope, where

Privilege = Literal["insert", "update", "delete"]

_SIGNS: Final[dict[Step, str]] = {"increment": "+", "decrement": "-", "multiply": "*"}
_ARRAY: Final = "'[' || coalesce(string_agg({json}, ','), '') || ']'"
# A trigger may keep the row from being written.
_OBJECT: Final = "coalesce(string_agg({json}, ','), 'null')"


def create(shape: Create, relation: Relation) -> Statement:
    """The statement that inserts rows, in the order of `data`.

    Raises:
        DbifyError: TABLE_NOT_WRITABLE, COLUMN_NOT_FOUND, COLUMN_NOT_WRITABLE, TOO_COMPLEX.
    """
    _require(relation, "insert")
    scope = Scope(relation, "t", Parameters())
    insert = f"INSERT INTO {relation_sql(relation)} AS t {_source(shape, scope)}"
    return _returning(insert, shape.output, scope, _ARRAY if shape.many else _OBJECT, counted=not shape.output.rows)


def update(shape: Update, relation: Relation) -> Statement:
    """The statement that changes rows.

    Raises:
        DbifyError: TABLE_NOT_WRITABLE, COLUMN_NOT_FOUND, COLUMN_NOT_WRITABLE, OPERATOR_NOT_APPLICABLE, WHERE_REQUIRED.
    """
    _require(relation, "update")
    scope = Scope(relation, "t", Parameters())
    assignments = ", ".join(_assignment(assignment, scope) for assignment in shape.assignments)
    change = f"UPDATE {relation_sql(relation)} AS t SET {assignments}{_condition(shape, scope, 'update')}"
    return _returning(change, shape.output, scope, _ARRAY, counted=True)


def delete(shape: Delete, relation: Relation) -> Statement:
    """The statement that removes rows.

    Raises:
        DbifyError: TABLE_NOT_WRITABLE, COLUMN_NOT_FOUND, OPERATOR_NOT_APPLICABLE, WHERE_REQUIRED.
    """
    _require(relation, "delete")
    scope = Scope(relation, "t", Parameters())
    removal = f"DELETE FROM {relation_sql(relation)} AS t{_condition(shape, scope, 'delete')}"
    return _returning(removal, shape.output, scope, _ARRAY, counted=True)


def _returning(change: str, output: Output, scope: Scope, form: str, *, counted: bool) -> Statement:
    listed = rows(output, scope)
    data = form.format(json=listed.json) if output.rows else "''"
    # width_bucket into no buckets fails: what cannot be answered is not written (TOO_LARGE_SQLSTATE).
    sql = (
        f"WITH r AS ({change} RETURNING {listed.columns if output.rows else '1'}) "
        f"SELECT CASE WHEN octet_length(a.data) <= {MAX_RESULT_BYTES} THEN a.data "
        "ELSE width_bucket(octet_length(a.data), 0, 1, 0)::text END AS data, "
        f"{'a.rows' if counted else 'NULL::bigint'} AS count, a.rows, octet_length(a.data) AS size "
        f"FROM (SELECT {data} AS data, count(*) AS rows FROM r) AS a"
    )
    return scope.parameters.statement(sql, write=True)


def _source(shape: Create, scope: Scope) -> str:
    if len(shape.columns) > 1:
        return _ragged(shape.columns, scope)
    columns = [_writable(name, scope) for name in shape.columns[0]]
    names = ", ".join(quoted(column.name) for column in columns)
    if not columns:
        # No column list and an empty row: every column takes its default.
        return f"SELECT FROM generate_series(1, {scope.parameters.text(('data',), count_of)}::integer)"
    if not shape.many:
        values = [_stored(column, ("data", column.name), scope) for column in columns]
        return f"({names}) VALUES ({', '.join(values)})"
    arrays = [scope.parameters.texts(("data",), Values(column).from_rows) for column in columns]
    aliases = [f"c{position}" for position in range(len(columns))]
    values = [types.stored(column, f"v.{alias}") for column, alias in zip(columns, aliases, strict=True)]
    return f"({names}) SELECT {', '.join(values)} FROM unnest({', '.join(arrays)}) AS v({', '.join(aliases)})"


def _ragged(rows: tuple[tuple[str, ...], ...], scope: Scope) -> str:
    """Rows with differing columns: what a row leaves out takes its default."""
    columns = [_writable(name, scope) for name in dict.fromkeys(name for row in rows for name in row)]
    lines = []
    for position, row in enumerate(rows):
        given = frozenset(row)
        cells = [
            _stored(column, ("data", position, column.name), scope) if column.name in given else "DEFAULT"
            for column in columns
        ]
        lines.append(f"({', '.join(cells)})")
    return f"({', '.join(quoted(column.name) for column in columns)}) VALUES {', '.join(lines)}"


def _assignment(assignment: Assignment, scope: Scope) -> str:
    column = _writable(assignment.column, scope)
    name, path = quoted(column.name), ("data", column.name)
    # An object is a value where the column takes one, whatever its key.
    if assignment.step == "set" or types.takes_objects(column):
        return f"{name} = {_stored(column, path, scope)}"
    if column.kind not in ("integer", "number"):
        raise DbifyError(
            Code.OPERATOR_NOT_APPLICABLE,
            f'"{assignment.step}" does not go with "{column.name}" ({column.type}), which is no number: set a value.',
            {"column": column.name, "type": column.type, "operator": assignment.step},
        )
    operand = types.cast(column, scope.parameters.text((*path, assignment.step), Values(column).operand))
    return f"{name} = {scope.sql(column.name)} {_SIGNS[assignment.step]} {operand}"


def _stored(column: Column, path: tuple[str | int, ...], scope: Scope) -> str:
    return types.stored(column, scope.parameters.text(path, Values(column).value))


def _condition(shape: Update | Delete, scope: Scope, operation: str) -> str:
    if constant(shape.where) is True and not shape.all:
        raise DbifyError(
            Code.WHERE_REQUIRED,
            f'This would {operation} every row of "{scope.relation.name}": add conditions in "where", '
            'or "all": true if you mean it.',
            {"table": scope.relation.name},
        )
    condition = where(shape.where, scope)
    return "" if condition == TRUE else f" WHERE {condition}"


def _require(relation: Relation, privilege: Privilege) -> None:
    table = relation.table
    if privilege not in table.writable:
        what = {"view": "a view", "materialized": "a materialised view", "foreign": "a foreign table"}
        raise DbifyError(
            Code.TABLE_NOT_WRITABLE,
            f'"{relation.name}" is {what.get(table.kind, "a table")} that takes no {privilege}: '
            f"{f'it takes {_listed(table.writable)} alone' if table.writable else 'it can only be read'}.",
            {"table": relation.name, "writable": list(map(str, table.writable))},
        )


def _listed(words: tuple[str, ...]) -> str:
    return " and ".join(words)


def _writable(name: str, scope: Scope) -> Column:
    column = scope.column(name)
    if column.generated or column.identity == "always":
        raise DbifyError(
            Code.COLUMN_NOT_WRITABLE,
            f'The database computes "{column.name}" itself: leave it out of "data".',
            {"table": scope.relation.name, "column": column.name},
        )
    return column
