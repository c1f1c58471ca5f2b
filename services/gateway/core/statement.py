"""A compiled statement: SQL, and where in a payload its arguments stand."""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.json import Json, Object, Path, dig

# A parameter travels as text or as an array of texts, and PostgreSQL reads it as what the column needs.
Argument: TypeAlias = str | list[str | None] | None
Encode: TypeAlias = Callable[[Json], Argument]

# The largest `data` that a statement hands over.
MAX_RESULT_BYTES: Final = 8 * 1024 * 1024
# PostgreSQL takes 65,535 parameters, asyncpg half of that.
MAX_PARAMETERS: Final = 32_767


class Slot(NamedTuple):
    """One parameter: where its value stands in the payload, and how it becomes an argument."""

    path: Path
    encode: Encode


class Lane(msgspec.Struct, frozen=True):
    """How reads of one shape that differ in a unique key alone travel together.

    Attributes:
        sql: Takes the keys as a text[], then the other arguments; gives one row with an array of a text a key: its row
            as JSON, '' where there is none, NULL where it has to be read alone.
        position: Which of the plain statement's arguments is the key.
        accepts: Whether a key is certain to be a value of the column's type.
    """

    sql: str
    position: int
    accepts: Callable[[str], object]


class Statement(msgspec.Struct, frozen=True):
    """SQL that answers every request of one shape; `columns` are those that the shape names."""

    sql: str
    slots: tuple[Slot, ...]
    write: bool
    columns: tuple[str, ...]
    lane: Lane | None = None

    def bind(self, payload: Object) -> tuple[Argument, ...]:
        """The arguments that a payload of this statement's shape brings.

        Raises:
            DbifyError: INVALID_VALUE.
        """
        return tuple(slot.encode(dig(payload, slot.path)) for slot in self.slots)


class Parameters:
    """The parameters of a statement while it is put together, and the columns it has named so far."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []
        self._columns: dict[str, None] = {}

    def text(self, path: Path, encode: Encode) -> str:
        """Add a parameter of type text; the SQL that stands for it."""
        return f"${self._add(path, encode)}::text"

    def texts(self, path: Path, encode: Encode) -> str:
        """Add a parameter of type text[]; the SQL that stands for it."""
        return f"${self._add(path, encode)}::text[]"

    def name(self, column: str) -> None:
        """Note that the request names a column."""
        self._columns[column] = None

    def statement(self, sql: str, *, write: bool) -> Statement:
        """The finished statement."""
        return Statement(sql, tuple(self._slots), write, tuple(self._columns))

    def _add(self, path: Path, encode: Encode) -> int:
        if len(self._slots) == MAX_PARAMETERS:
            raise DbifyError(
                Code.TOO_COMPLEX,
                f"The request needs more than {MAX_PARAMETERS:,} parameters: give all rows the same columns, "
                "or send them in several requests.",
            )
        self._slots.append(Slot(path, encode))
        return len(self._slots)


def quoted(identifier: str) -> str:
    """A name as SQL."""
    escaped = identifier.replace('"', '""')
    return f'"{escaped}"'
