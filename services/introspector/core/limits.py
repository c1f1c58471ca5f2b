"""How much a database may hold: every look ends, and its snapshot is one that everybody can read."""

from typing import Final, TypeVar

import msgspec

from libs.common import schema
from libs.common.errors import Code, DbifyError

# 6 times the largest schema that is promised to work (1,500 tables).
MAX_TABLES: Final = 10_000
MAX_COLUMNS: Final = 200_000
# Of rows as they arrive.
MAX_BYTES: Final = 48 * 1024 * 1024

Part = TypeVar("Part", bound=msgspec.Struct)
_encoder = msgspec.msgpack.Encoder()


class Room:
    """What a snapshot has room for.

    The rows are bounded already, but a snapshot says in each column what a type says once: an enum of a megabyte of
    labels in a table of a thousand columns would be a gigabyte.
    """

    def __init__(self) -> None:
        self._left_bytes = schema.MAX_BYTES

    def take(self, part: Part) -> Part:
        """The part itself, if it still fits."""
        self._left_bytes -= len(_encoder.encode(part))
        if self._left_bytes < 0:
            raise too_large("its columns and keys take too many bytes", schema.MAX_BYTES)
        return part


def too_large(why: str, limit: int) -> DbifyError:
    """The refusal of a database that holds too much."""
    return DbifyError(
        Code.SCHEMA_TOO_LARGE,
        f"The database's schema is larger than Dbify takes: {why} (the limit is {limit:,}). "
        "Connect with a role that may see fewer of them.",
        {"limit": limit},
    )
