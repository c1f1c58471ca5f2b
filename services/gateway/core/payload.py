"""A payload's form, before any table is known: its shape, without the values.

A shape says everything that the SQL hangs on and nothing else. Operands stay in the payload; the shape only keeps where
they stand. So a compiled statement fits every payload of the same shape, and no value can find its way into SQL.
"""

from collections.abc import Collection
from typing import Final, Literal, NamedTuple

import msgspec

from libs.common.errors import Code, DbifyError
from services.gateway.core.conditions import ALWAYS, Node, conditions
from services.gateway.core.json import Json, Object, described, shown
from services.gateway.core.names import suggestion

Operation = Literal["read", "create", "update", "delete"]
Step = Literal["set", "increment", "decrement", "multiply"]

# Any of these makes a read's payload the long form, those included that come later.
READ_WORDS: Final = frozenset(
    {
        "where", "select", "include", "orderBy", "limit", "offset", "after", "before", "count", "distinct",
        "stringifyNumeric",
    }
)  # fmt: skip
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1_000
MAX_ROWS: Final = 10_000
STEPS: Final[dict[str, Step]] = {"increment": "increment", "decrement": "decrement", "multiply": "multiply"}

_READ_FIELDS: Final = ("where", "select", "orderBy", "limit", "offset", "count", "stringifyNumeric")
_CREATE_FIELDS: Final = ("data", "select", "stringifyNumeric")
_UPDATE_FIELDS: Final = ("where", "data", "select", "all", "stringifyNumeric")
_DELETE_FIELDS: Final = ("where", "select", "all", "stringifyNumeric")


class Output(msgspec.Struct, frozen=True):
    """What of the rows is answered: `columns` None means all of them; without `rows` only their count."""

    columns: tuple[str, ...] | None = None
    rows: bool = True
    stringify: bool = False


class Order(msgspec.Struct, frozen=True):
    """One key of an order; `nulls` "" leaves them where PostgreSQL puts them."""

    column: str
    descending: bool = False
    nulls: Literal["", "first", "last"] = ""


class Read(msgspec.Struct, frozen=True):
    """The shape of a read."""

    where: Node = ALWAYS
    output: Output = Output()
    order: tuple[Order, ...] = ()
    limit: int = DEFAULT_LIMIT
    offset: bool = False
    count: bool = False
    shorthand: bool = False


class Create(msgspec.Struct, frozen=True):
    """The shape of a create.

    Attributes:
        columns: Each row's columns; a single entry where all rows have the same.
        many: Whether `data` is an array.
    """

    columns: tuple[tuple[str, ...], ...]
    many: bool
    output: Output


class Assignment(NamedTuple):
    """What happens to one column."""

    column: str
    step: Step


class Update(msgspec.Struct, frozen=True):
    """The shape of an update."""

    where: Node
    assignments: tuple[Assignment, ...]
    output: Output
    all: bool


class Delete(msgspec.Struct, frozen=True):
    """The shape of a delete."""

    where: Node
    output: Output
    all: bool


Shape = Read | Create | Update | Delete


def shape(operation: str, payload: Object) -> Shape:
    """The shape of a payload.

    Raises:
        DbifyError: UNKNOWN_FIELD, INVALID_REQUEST, TOO_COMPLEX.
    """
    if operation == "read":
        return _read(payload)
    if operation == "create":
        return _create(payload)
    if operation == "update":
        return _update(payload)
    return _delete(payload)


def _read(payload: Object) -> Read:
    if READ_WORDS.isdisjoint(payload):
        return Read(conditions(payload, ()), shorthand=True)
    only(payload, _READ_FIELDS, "A read")
    return Read(
        where=_where(payload),
        output=_output(payload, rows_only=True),
        order=_order(payload.get("orderBy", [])),
        limit=_whole(payload, "limit", DEFAULT_LIMIT, MAX_LIMIT),
        offset=_whole(payload, "offset", 0, (1 << 63) - 1) > 0,
        count=_count(payload.get("count", False)),
    )


def _create(payload: Object) -> Create:
    only(payload, _CREATE_FIELDS, "A create")
    data = payload.get("data")
    rows = data if isinstance(data, list) else [data]
    if len(rows) > MAX_ROWS:
        raise DbifyError(
            Code.TOO_COMPLEX, f"{len(rows):,} rows at once, the limit is {MAX_ROWS:,}: send them in several requests."
        )
    columns = []
    for row in rows:
        if not isinstance(row, dict):
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'"data" must be an object of columns and values, or an array of such, not {_found(payload, row)}.',
            )
        columns.append(tuple(row))
    if len({frozenset(names) for names in columns}) <= 1:
        columns = columns[:1] or [()]
    return Create(tuple(columns), isinstance(data, list), _output(payload))


def _update(payload: Object) -> Update:
    only(payload, _UPDATE_FIELDS, "An update")
    data = payload.get("data")
    if not isinstance(data, dict) or not data:
        found = "an empty one" if data == {} else _found(payload, data)
        raise DbifyError(Code.INVALID_REQUEST, f'"data" must be an object of columns and new values, not {found}.')
    assignments = tuple(Assignment(column, _step(value)) for column, value in data.items())
    return Update(_where(payload), assignments, _output(payload), _flag(payload, "all"))


def _delete(payload: Object) -> Delete:
    only(payload, _DELETE_FIELDS, "A delete")
    return Delete(_where(payload), _output(payload), _flag(payload, "all"))


def _step(value: Json) -> Step:
    if isinstance(value, dict) and len(value) == 1:
        return STEPS.get(next(iter(value)), "set")
    return "set"


def _where(payload: Object) -> Node:
    return conditions(payload["where"], ("where",)) if "where" in payload else ALWAYS


def _output(payload: Object, *, rows_only: bool = False) -> Output:
    select = payload.get("select", True)
    stringify = _flag(payload, "stringifyNumeric")
    if select is True or (select is False and not rows_only):
        return Output(None, select, stringify)
    if isinstance(select, list) and all(isinstance(name, str) for name in select):
        return Output(tuple(dict.fromkeys(map(str, select))), rows=True, stringify=stringify)
    raise DbifyError(Code.INVALID_REQUEST, f'"select" must be an array of column names, not {described(select)}.')


def _order(value: Json) -> tuple[Order, ...]:
    keys: list[Order] = []
    for entry in value if isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            raise DbifyError(
                Code.INVALID_REQUEST,
                f'"orderBy" takes {{"column": "asc"}} or an array of such, not {described(entry)}.',
            )
        keys.extend(_order_key(column, direction) for column, direction in entry.items())
    return tuple(keys)


def _order_key(column: str, value: Json) -> Order:
    fields: Object = value if isinstance(value, dict) else {"sort": value}
    only(fields, ("sort", "nulls"), f'"orderBy" of "{shown(column)}"')
    sort, nulls = fields.get("sort"), fields.get("nulls", "")
    if sort not in ("asc", "desc"):
        raise DbifyError(Code.INVALID_REQUEST, f'"orderBy" of "{shown(column)}" must be "asc" or "desc".')
    if nulls == "first":
        return Order(column, sort == "desc", "first")
    if nulls == "last":
        return Order(column, sort == "desc", "last")
    if nulls != "":
        raise DbifyError(Code.INVALID_REQUEST, f'"nulls" of "{shown(column)}" must be "first" or "last".')
    return Order(column, sort == "desc")


def _count(value: Json) -> bool:
    if value is True or value is False:
        return value
    if value == "exact":
        return True
    raise DbifyError(Code.INVALID_REQUEST, '"count" must be true or "exact".')


def _flag(payload: Object, name: str) -> bool:
    value = payload.get(name, False)
    if value is True or value is False:
        return value
    raise DbifyError(Code.INVALID_REQUEST, f'"{name}" must be true or false, not {described(value)}.')


def _whole(payload: Object, name: str, default: int, most: int) -> int:
    value = payload.get(name, default)
    if type(value) is int and 0 <= value <= most:
        return value
    raise DbifyError(Code.INVALID_REQUEST, f'"{name}" must be a whole number from 0 to {most:,}.')


def _found(payload: Object, value: Json) -> str:
    return described(value) if "data" in payload else "missing"


def only(fields: Object, known: Collection[str], what: str) -> None:
    """Refuse fields that are not known.

    Raises:
        DbifyError: UNKNOWN_FIELD, with the nearest name and all that are taken.
    """
    for name in fields:
        if name not in known:
            raise DbifyError(
                Code.UNKNOWN_FIELD,
                f'{what} takes no "{shown(name)}".{suggestion(name, known)} It takes {", ".join(known)}.',
                {"field": shown(name), "fields": list(known)},
            )
