"""The one error type, and the registry of every code it may carry.

A code is part of the public contract: neither its name nor its status changes once released.
`docs/reference/errors.md` is printed from this registry.
"""

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import cast

import msgspec

Detail = str | int | float | bool | None | list[str] | list[int] | dict[str, str] | dict[str, int]


class Code(Enum):
    """Every error code: its HTTP status and when it is answered."""

    def __init__(self, status: int, meaning: str) -> None:
        self.status = status
        self.meaning = meaning

    # The request cannot be read.
    INVALID_JSON = 400, "The body is not valid JSON in UTF-8."
    INVALID_REQUEST = 400, "The body or a parameter has the wrong form."
    UNKNOWN_FIELD = 400, "A field that this operation does not take."
    UNKNOWN_OPERATION = 400, "The operation is none of those that exist."
    UNKNOWN_OPERATOR = 400, "The operator is none of those that exist."
    OPERATOR_NOT_APPLICABLE = 400, "The operator does not go with the column's type."
    WHERE_REQUIRED = 400, "An update or delete without `where` needs `all: true`."
    TABLE_AMBIGUOUS = 400, "Several schemas have a table of this name: name the schema too."
    TOO_COMPLEX = 400, "The request nests too deep or holds too many parts."
    REQUEST_TOO_LARGE = 413, "The body is larger than the limit."
    UNSUPPORTED_MEDIA_TYPE = 415, "The body is not JSON."

    # Who is asking.
    INVALID_API_KEY = 401, "The API key is missing, malformed, unknown, revoked or belongs to another project."
    UNAUTHENTICATED = 401, "Log in, or send an account token."
    INVALID_CREDENTIALS = 401, "The email address or the password is wrong."
    FORBIDDEN = 403, "The account or key may not do this."
    CSRF_REJECTED = 403, "A request with a session cookie came from another site."

    # What is asked for.
    NOT_FOUND = 404, "Nothing stands at this address."
    METHOD_NOT_ALLOWED = 405, "This address does not take this method."
    PROJECT_NOT_FOUND = 404, "No such project, or it is not yours."
    KEY_NOT_FOUND = 404, "The project has no such key."
    TABLE_NOT_FOUND = 404, "The database has no such table or view."
    COLUMN_NOT_FOUND = 400, "The table has no such column."
    RELATION_NOT_FOUND = 400, "The table has no such relation."
    QUERY_NOT_FOUND = 404, "The project has no such saved query."
    FUNCTION_NOT_FOUND = 404, "The database has no such function, or none with these arguments."
    FUNCTION_AMBIGUOUS = 400, "Several functions of this name take these arguments: name one with its types."

    # The data says no.
    UNIQUE_VIOLATION = 409, "Another row already has this value."
    FOREIGN_KEY_VIOLATION = 409, "The row refers to one that does not exist, or is referred to."
    EXCLUSION_VIOLATION = 409, "The row conflicts with another by an exclusion constraint."
    NOT_NULL_VIOLATION = 422, "A column that may not be null would be."
    CHECK_VIOLATION = 422, "A check constraint refuses the row."
    INVALID_VALUE = 422, "A value does not fit its column or operator."
    COLUMN_NOT_WRITABLE = 422, "The database computes this column itself."
    TABLE_NOT_WRITABLE = 422, "This view or table does not take this operation."
    DATABASE_REJECTED = 422, "The database, or a trigger in it, refused the statement."
    RESULT_TOO_LARGE = 422, "The answer would be larger than the limit: ask for fewer rows or columns."
    COST_TOO_HIGH = 422, "The database expects the statement to cost more than the project allows."
    INVALID_QUERY = 422, "The SQL of a saved query is not valid, not allowed, or no longer fits the database."
    DATABASE_PERMISSION_DENIED = 403, "The database user may not do this."
    DATABASE_READ_ONLY = 409, "The database takes no writes: it is a replica or set to read only."
    TRANSACTION_CONFLICT = 409, "Another transaction got in the way: try again."
    QUERY_NAME_TAKEN = 409, "The project has a saved query of this name."
    EMAIL_TAKEN = 409, "An account with this email address exists."
    SCHEMA_CHANGED = 409, "The schema changed while the request ran: try again."

    # Registering a database.
    INVALID_DATABASE_URL = 422, "The database URL has the wrong form."
    ADDRESS_FORBIDDEN = 422, "The host's address may not be reached from here."
    DATABASE_REFUSED_LOGIN = 422, "The database refused the user, password or database name."
    DATABASE_UNSUPPORTED = 422, "The server is not PostgreSQL 13 or later."
    SCHEMA_TOO_LARGE = 422, "The database has more tables, columns or definitions than Dbify takes."

    # Too much.
    RATE_LIMITED = 429, "Too many requests: wait as Retry-After says."

    # Something else is down or slow.
    QUERY_TIMEOUT = 504, "The statement ran longer than the project allows."
    DATABASE_UNAVAILABLE = 503, "The project's database cannot be reached, or takes no more connections."
    DATABASE_BUSY = 503, "All of the project's connections are in use: try again."
    PLATFORM_UNAVAILABLE = 503, "Dbify's own database cannot be reached."
    KEY_UNVERIFIABLE = 503, "The key cannot be checked at the moment."
    SERVICE_UNAVAILABLE = 503, "A service that this needs cannot be reached at the moment."
    SERVICE_TIMEOUT = 504, "A service that this needs did not answer in time."

    # Our defect.
    INTERNAL_ERROR = 500, "A defect in Dbify. The request id finds it in the logs."


class DbifyError(Exception):
    """What went wrong, in a form that may be shown to the caller.

    Args:
        code: The registered code; it decides the HTTP status.
        message: What happened and what to do next; never a secret, an address or a stack trace.
        details: Facts for a program, under camelCase names.
    """

    def __init__(self, code: Code, message: str, details: Mapping[str, Detail] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Detail] = dict(details or {})

    def body(self, request_id: str) -> "ErrorBody":
        """The error as it is answered over HTTP and NATS."""
        return ErrorBody(self.code.name, self.message, self.details, request_id)


class ErrorBody(msgspec.Struct, frozen=True, rename="camel"):
    """The JSON of every error: `{"errorCode", "message", "details", "requestId"}`."""

    error_code: str
    message: str
    # Not `Detail`: msgspec decodes no union of two kinds of list.
    details: Mapping[str, object]
    request_id: str = ""

    def error(self) -> DbifyError:
        """The error that another service answered; a code unknown here counts as internal."""
        code = Code.__members__.get(self.error_code, Code.INTERNAL_ERROR)
        return DbifyError(code, self.message, cast("Mapping[str, Detail]", self.details))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean "X"?` for the nearest known name, or nothing where none is near."""
    folded = {candidate.casefold(): candidate for candidate in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f' Did you mean "{folded[near[0]]}"?' if near else ""
