"""What went wrong in a user's database, as one of the documented codes.

Source of the SQLSTATEs: PostgreSQL 18, Appendix A. None of them is answered as our defect unless it can be nothing
else: a statement of ours that does not parse, outside any function of the user's. Values stay out of what is answered,
for PostgreSQL puts other rows' values into its details; names of constraints, tables and columns go in.
"""

import re
from collections.abc import Callable

import asyncpg

from libs.common.errors import Code, DbifyError, Detail

MAX_MESSAGE_CHARACTERS = 300

_UNAVAILABLE = "The database cannot be reached at the moment, or takes no more connections: try again."
_SCHEMA_CHANGED = "The database's schema changed while the request ran: try again."
_CONFLICT = "Another transaction got in the way: try again."
_TIMEOUT = "The statement ran longer than the project allows: narrow it down, or raise the project's timeout."

# The whole SQLSTATE first, then its class. A message of None stands for what the server said.
_KNOWN: dict[str, tuple[Code, str | None]] = {
    "0A000": (Code.DATABASE_REJECTED, None),
    "21000": (Code.INVALID_VALUE, "Two of the rows or values are the same where only one may be."),
    "22001": (Code.INVALID_VALUE, "A value is too long for its column."),
    "22003": (Code.INVALID_VALUE, "A number is out of range for its column."),
    "22008": (Code.INVALID_VALUE, "A date or time is out of range."),
    "22012": (Code.INVALID_VALUE, "A value leads to a division by zero."),
    "22021": (Code.INVALID_VALUE, "A text holds a character that the database cannot store, such as a null character."),
    "2201B": (Code.INVALID_VALUE, "The regular expression is not valid."),
    "25006": (Code.DATABASE_READ_ONLY, "The database takes no writes: it is a replica, or set to read only."),
    "25P03": (Code.QUERY_TIMEOUT, _TIMEOUT),
    "25P04": (Code.QUERY_TIMEOUT, _TIMEOUT),
    "26000": (Code.DATABASE_UNAVAILABLE, "A connection pooler lost track of the statement: try again."),
    "3F000": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42501": (Code.DATABASE_PERMISSION_DENIED, "The database user of this project may not do this."),
    "42601": (Code.INTERNAL_ERROR, "A defect in Dbify: the database could not read the statement."),
    "42602": (Code.INTERNAL_ERROR, "A defect in Dbify: the database could not read the statement."),
    "42701": (Code.INTERNAL_ERROR, "A defect in Dbify: the database could not read the statement."),
    "42703": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42704": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42804": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42809": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42846": (Code.INVALID_VALUE, "The database cannot convert a value to what the column needs."),
    "42883": (Code.OPERATOR_NOT_APPLICABLE, "The operator does not go with the column's type."),
    "42725": (Code.OPERATOR_NOT_APPLICABLE, "The operator does not go with the column's type."),
    "428C9": (Code.COLUMN_NOT_WRITABLE, "The database computes a column of these itself: leave it out."),
    "42P01": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "42P05": (Code.DATABASE_UNAVAILABLE, "A connection pooler lost track of the statement: try again."),
    "42P10": (Code.SCHEMA_CHANGED, _SCHEMA_CHANGED),
    "44000": (Code.CHECK_VIOLATION, "The row does not fit the view that it would be written through."),
    "54000": (Code.INVALID_VALUE, "A value is larger than the database can store or index."),
    "54001": (Code.TOO_COMPLEX, "The statement is too complex for the database: ask for less at once."),
    "54011": (Code.TOO_COMPLEX, "The statement has too many columns for the database: ask for less at once."),
    "54023": (Code.TOO_COMPLEX, "The statement has too many parts for the database: ask for less at once."),
    "55000": (Code.DATABASE_REJECTED, None),
    "55006": (Code.TRANSACTION_CONFLICT, _CONFLICT),
    "55P03": (Code.TRANSACTION_CONFLICT, _CONFLICT),
    "57014": (Code.QUERY_TIMEOUT, _TIMEOUT),
    "XX001": (Code.DATABASE_UNAVAILABLE, "The database reports that its data is damaged."),
    "XX002": (Code.DATABASE_UNAVAILABLE, "The database reports that its data is damaged."),
    "08": (Code.DATABASE_UNAVAILABLE, _UNAVAILABLE),
    "22": (Code.INVALID_VALUE, "A value does not fit its column or operator."),
    "28": (Code.DATABASE_REFUSED_LOGIN, "The database refused the login: check the user and password in its URL."),
    "3D": (Code.DATABASE_REFUSED_LOGIN, "The server has no database of this name: check the database's URL."),
    "40": (Code.TRANSACTION_CONFLICT, _CONFLICT),
    "53": (Code.DATABASE_UNAVAILABLE, "The database is out of connections, memory or disk space: try again later."),
    "57": (
        Code.DATABASE_UNAVAILABLE,
        "The database is shutting down, starting up, or ended the connection: try again.",
    ),
    "58": (Code.DATABASE_UNAVAILABLE, "The database's server has a fault of its own: try again later."),
}

# What types such as jsonpath, tsquery and regclass call a value they cannot read; about a statement, the server says
# at which position.
_ALSO_OF_VALUES = frozenset({"42601", "42602", "42704", "42883", "42P01"})
# `Key (a, b)=(1, 2) already exists.`, whatever the language.
_KEY = re.compile(r"\((.+?)\)=\(")
_TYPE = re.compile(r'invalid input (?:syntax|value) for (?:type|enum) ([\w. "\[\]]+?)(?::|$)')


def translate(error: Exception) -> DbifyError:
    """The documented error for what a driver raised while it used a user's database.

    Args:
        error: An asyncpg error, or what the network raised; a `DbifyError` comes back as it is.
    """
    if isinstance(error, DbifyError):
        return error
    if isinstance(error, asyncpg.ConnectionDoesNotExistError):
        cause = error.__cause__
        # The last words of a server that closed the connection, such as 57P01.
        return translate(cause) if isinstance(cause, asyncpg.PostgresError) else _unavailable()
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return DbifyError(Code.SCHEMA_CHANGED, _SCHEMA_CHANGED, {"sqlstate": "0A000"})
    if isinstance(error, asyncpg.PostgresError):
        return _answered(error)
    return _unanswered(error)


def _unavailable() -> DbifyError:
    return DbifyError(Code.DATABASE_UNAVAILABLE, _UNAVAILABLE)


def _unanswered(error: Exception) -> DbifyError:
    """What the driver or the network raised without a word from the server."""
    if isinstance(error, TimeoutError):
        return DbifyError(Code.QUERY_TIMEOUT, _TIMEOUT)
    if isinstance(error, asyncpg.DataError):
        return DbifyError(Code.INVALID_VALUE, "A value does not fit its column or operator.")
    if isinstance(error, UnicodeDecodeError):
        return DbifyError(Code.DATABASE_REJECTED, "The database holds text here that is not UTF-8.")
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return DbifyError(Code.SCHEMA_CHANGED, _SCHEMA_CHANGED)
    if isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        return _unavailable()
    return DbifyError(Code.INTERNAL_ERROR, "A defect in Dbify. The request id finds it in the logs.")


def _answered(error: asyncpg.PostgresError) -> DbifyError:
    state = error.sqlstate or ""
    integrity = _INTEGRITY.get(state)
    if integrity is not None:
        return integrity(error)
    code, message = _KNOWN.get(state) or _KNOWN.get(state[:2]) or (Code.DATABASE_REJECTED, None)
    # A class 42 error inside a trigger or function is of the user's own making.
    if state.startswith("42") and state != "42501" and error.context:
        code, message = Code.DATABASE_REJECTED, None
    elif state in _ALSO_OF_VALUES and not error.position:
        code, message = Code.INVALID_VALUE, "A value does not have the form that its column's type demands."
    details = _named(error)
    if state.startswith("22") and (type_ := _TYPE.match(_message(error))):
        details["type"] = type_[1]
        message = f"A value is not a valid {type_[1]}."
    return DbifyError(code, message or _said(error), details)


def _message(error: asyncpg.PostgresError) -> str:
    """The server's message without its detail, which holds values."""
    return str(error.args[0]) if error.args else ""


def _said(error: asyncpg.PostgresError) -> str:
    return f"The database refused the statement: {_message(error)[:MAX_MESSAGE_CHARACTERS]}"


def _named(error: asyncpg.PostgresError) -> dict[str, Detail]:
    """The names that the server gives: of things, never the values in them."""
    details: dict[str, Detail] = {"sqlstate": error.sqlstate}
    if error.table_name:
        details["table"] = f"{error.schema_name}.{error.table_name}" if error.schema_name else error.table_name
    if error.column_name:
        details["column"] = error.column_name
    if error.constraint_name:
        details["constraint"] = error.constraint_name
    return details


def _key_columns(error: asyncpg.PostgresError) -> list[str]:
    key = _KEY.search(error.detail or "")
    return [column.strip('"') for column in key[1].split(", ")] if key else []


def _with_columns(code: Code, message: str) -> Callable[[asyncpg.PostgresError], DbifyError]:
    def build(error: asyncpg.PostgresError) -> DbifyError:
        details = _named(error)
        columns = _key_columns(error)
        if columns:
            details["columns"] = columns
        names = f" of {', '.join(columns)}" if columns else ""
        constraint = f' (constraint "{error.constraint_name}")' if error.constraint_name else ""
        return DbifyError(code, message.format(names=names, constraint=constraint), details)

    return build


def _not_null(error: asyncpg.PostgresError) -> DbifyError:
    name = f'column "{error.column_name}"' if error.column_name else "domain's value"
    return DbifyError(Code.NOT_NULL_VIOLATION, f"The {name} may not be null: give it a value.", _named(error))


_foreign_key = _with_columns(
    Code.FOREIGN_KEY_VIOLATION,
    "The value{names} refers to a row that does not exist, or is still referred to{constraint}.",
)
_INTEGRITY: dict[str, Callable[[asyncpg.PostgresError], DbifyError]] = {
    "23000": _with_columns(Code.CHECK_VIOLATION, "The row breaks a rule of the database{constraint}."),
    "23001": _foreign_key,
    "23502": _not_null,
    "23503": _foreign_key,
    "23505": _with_columns(Code.UNIQUE_VIOLATION, "Another row already has this value{names}{constraint}."),
    "23514": _with_columns(Code.CHECK_VIOLATION, "The row breaks a check of the database{constraint}."),
    "23P01": _with_columns(Code.EXCLUSION_VIOLATION, "The row conflicts with another{constraint}."),
}
