"""What is to be run: one statement with its arguments."""

import msgspec

# A parameter travels as text or as an array of texts, and PostgreSQL reads it as what the column needs.
Argument = str | None | list[str | None]

# The largest `data` that a statement hands over. The statement itself sees to it, so that no more crosses the wire.
MAX_RESULT_BYTES = 8 * 1024 * 1024
# A write whose rows would be larger fails by this SQLSTATE (invalid_argument_for_width_bucket_function), so that
# nothing is written that cannot be answered. Means RESULT_TOO_LARGE.
TOO_LARGE_SQLSTATE = "2201G"


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
    """

    sql: str
    arguments: tuple[Argument, ...]
    write: bool
    table: str
    columns: tuple[str, ...]
