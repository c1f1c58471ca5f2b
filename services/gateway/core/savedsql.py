"""The SQL of saved queries: what it may be, and the statement around it that renders its rows."""

# ruff: noqa: S608  # Only what its author saved is in the SQL: values are parameters.

from collections.abc import Callable
from typing import Final, NamedTuple

import postgast
from google.protobuf.message import DecodeError, Message
from postgast import pg_query_pb2 as tree

from libs.common.errors import Code, DbifyError
from services.gateway.core.statement import MAX_RESULT_BYTES
from services.gateway.core.template import invalid, refused

_STATEMENTS: Final = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
_WRITES: Final[dict[str, str]] = {
    "InsertStmt": "INSERT", "UpdateStmt": "UPDATE", "DeleteStmt": "DELETE", "MergeStmt": "MERGE",
}  # fmt: skip
# They outlast the transaction, on a connection that the next request gets.
_FORBIDDEN: Final = frozenset(
    {
        "set_config", "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock",
        "pg_try_advisory_lock_shared", "pg_advisory_unlock_all",
    }
)  # fmt: skip
# width_bucket into no buckets fails: what cannot be answered is not written (see plan.TOO_LARGE_SQLSTATE).
# Not of constants alone, which the planner would work out beforehand.
_FAIL: Final = "width_bucket(octet_length(a.data), 0, 1, 0)::text"
_ARRAY: Final = "'[' || coalesce(string_agg(row_to_json(r.*)::text, ','), '') || ']'"

Origin = Callable[[int], int]


class Checked(NamedTuple):
    """One statement that may be saved.

    Attributes:
        sql: Its text, without what ends it.
        rows: Whether it gives rows.
    """

    sql: str
    rows: bool
    write: bool


def check(sql: str, origin: Origin, *, write: bool) -> Checked:
    """The one statement of an SQL text whose parameters are numbered.

    Args:
        sql: The text.
        origin: Where in the SQL that was written a character of it comes from.
        write: Whether it may write.

    Raises:
        DbifyError: INVALID_QUERY where it cannot be read, is no single statement, or does what it may not.
    """
    statements = _parsed(sql, origin).stmts
    if len(statements) != 1:
        raise invalid(f"A saved query is one statement, this SQL has {len(statements)}.")
    raw = statements[0]
    kind = raw.stmt.WhichOneof("node")
    if kind not in _STATEMENTS:
        raise invalid(
            "A saved query is a SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE: no other statement can be saved."
        )
    statement = getattr(raw.stmt, kind)
    _judge(statement, write=write)
    data = sql.encode()
    end = raw.stmt_location + raw.stmt_len if raw.stmt_len else len(data)
    text = data[raw.stmt_location : end].decode()
    return Checked(text, kind == "select_stmt" or bool(statement.returning_clause.exprs), write)


def _parsed(sql: str, origin: Origin) -> tree.ParseResult:
    try:
        return postgast.parse(sql)
    except postgast.PgQueryError as error:
        raise refused(error, origin) from None
    except (DecodeError, RecursionError):
        raise DbifyError(Code.TOO_COMPLEX, "The SQL nests too deep: flatten it.") from None


def _judge(statement: Message, *, write: bool) -> None:
    for _, node in postgast.walk(statement):
        name = type(node).__name__
        if name in _WRITES and not write:
            raise invalid(f'This query would {_WRITES[name]}: save it with "write": true.')
        if name == "IntoClause" and node.ListFields():
            raise invalid("SELECT INTO makes a table, which a saved query may not: use INSERT.")
        if name == "LockingClause" and not write:
            raise invalid('This query locks rows: save it with "write": true.')
        if name == "FuncCall" and (function := _function(node)) in _FORBIDDEN:
            raise invalid(f"{function}() outlasts the query, on a connection that others use: leave it out.")


def _function(call: Message) -> str:
    names = list(call.funcname)
    return str(names[-1].string.sval).lower() if names else ""


def reading(checked: Checked, limit: str) -> str:
    """The statement that answers the rows of a query that only reads, one more than `limit` at most.

    Args:
        checked: The query.
        limit: SQL for how many rows are read.
    """
    return (
        f"SELECT CASE WHEN octet_length(a.data) <= {MAX_RESULT_BYTES} THEN a.data END AS data, "
        "NULL::bigint AS count, a.rows, octet_length(a.data) AS size "
        f"FROM (SELECT {_ARRAY} AS data, count(*) AS rows FROM (SELECT * FROM (\n{checked.sql}\n) AS q LIMIT {limit}) "
        "AS r) AS a"
    )


def writing(checked: Checked) -> str:
    """The statement that runs a query that may write, and answers what it returns.

    PostgreSQL lets a WITH that writes stand at the top alone, so the query becomes its last part.
    """
    name = "dbify_result"
    while name in checked.sql:
        name += "_"
    data = _ARRAY if checked.rows else "''"
    whole = postgast.parse(
        f"WITH {name} AS (SELECT 1) "
        f"SELECT CASE WHEN octet_length(a.data) <= {MAX_RESULT_BYTES} THEN a.data ELSE {_FAIL} END AS data, "
        "a.rows AS count, a.rows, octet_length(a.data) AS size "
        f"FROM (SELECT {data} AS data, count(*) AS rows FROM {name} AS r) AS a"
    )
    inner = postgast.parse(checked.sql).stmts[0].stmt
    statement = getattr(inner, inner.WhichOneof("node"))
    outer = whole.stmts[0].stmt.select_stmt.with_clause
    outer.recursive = statement.with_clause.recursive
    last = outer.ctes.pop()
    outer.ctes.extend(statement.with_clause.ctes)
    statement.ClearField("with_clause")
    if not checked.rows:
        statement.returning_clause.exprs.extend(_one())
    last.common_table_expr.ctequery.CopyFrom(inner)
    outer.ctes.append(last)
    return postgast.deparse(whole)


def _one() -> list[tree.Node]:
    """`1`, so that rows can be counted."""
    return list(postgast.parse("SELECT 1").stmts[0].stmt.select_stmt.target_list)


def type_sql(text: str) -> str:
    """A type's name as SQL, and nothing but a type.

    Raises:
        DbifyError: INVALID_QUERY.
    """
    try:
        found = postgast.parse(f"SELECT NULL::{text}").stmts[0].stmt.select_stmt.target_list[0].res_target.val
        name = found.type_cast.type_name
    except (postgast.PgQueryError, DecodeError, IndexError, UnicodeEncodeError):
        name = tree.TypeName()
    if not name.names or name.setof or name.pct_type:
        raise invalid("A parameter's type is not the name of a type, such as integer, text[] or app.mood.")
    # Put into a statement of our own, so that whatever else was in the text is gone.
    ours = postgast.parse("SELECT NULL::integer")
    ours.stmts[0].stmt.select_stmt.target_list[0].res_target.val.type_cast.type_name.CopyFrom(name)
    return postgast.deparse(ours).removeprefix("SELECT NULL::")
