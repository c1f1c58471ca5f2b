"""What changed between two versions of a project's schema, and whom that concerns."""

from typing import Literal

import msgspec

Level = Literal["breaking", "dangerous", "safe"]
LEVELS: tuple[Level, ...] = ("breaking", "dangerous", "safe")


class Change(msgspec.Struct, frozen=True, rename="camel"):
    """One thing that is another than before.

    Attributes:
        kind: `noun.verb`: a schema, table, view, column, constraint, index, enum, function or search_path that was
            added, dropped, renamed or altered.
        name: What it is called now; what it was called where it is gone. Tables, views, enums and functions with their
            schema, functions with their argument types too.
        table: `schema.table`, as it is called now, where the change is one of a table or view; else null.
        column: The column's name now, or its last one, where the change is one of a column; else null.
        before: What was: a description (dropped), the facts that are others now (altered), a name (renamed), or null.
        after: What is, likewise.
        level: Breaking: requests that worked are refused, or answered in another form. Dangerous: some may be, or give
            other rows. Safe: none is.
        reason: The level's reason, in a sentence.
    """

    kind: str
    name: str
    table: str | None
    column: str | None
    before: object
    after: object
    level: Level
    reason: str


class KeyImpact(msgspec.Struct, frozen=True, rename="camel"):
    """A key whose requests used what has changed, in the last 7 days.

    Attributes:
        name: The key's name, "" where it could not be asked for.
        requests: Those to a changed table; where columns changed, those that named one, and reads of the table, which
            may have been answered with it.
        named: How many of them named a changed column, or were to a table that changed as a whole.
        last_used: When the last of them was, RFC 3339 in UTC.
    """

    id: str
    name: str
    requests: int
    named: int
    last_used: str


class Impact(msgspec.Struct, frozen=True, rename="camel"):
    """Whom the breaking and dangerous changes of a version concern.

    Attributes:
        complete: False where somebody who knows did not answer in time.
        keys: The keys with most requests first.
    """

    complete: bool = True
    keys: tuple[KeyImpact, ...] = ()
    queries: tuple[str, ...] = ()
    cron: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
