"""JSON values as PostgreSQL's text form, decided by the column's kind."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final, TypeAlias

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column, Kind
from services.gateway.core import types
from services.gateway.core.json import Json, described, digits, encode

# What a value of each kind becomes; None where it is of another JSON type than the kind takes.
Render: TypeAlias = Callable[[Json], str | None]

MAX_LIST: Final = 10_000
# PostgreSQL's own MAXDIM.
_MAX_DIMENSIONS: Final = 6
# A whole number may be written 1e3; none that a column holds is longer than this.
_MAX_EXPONENT: Final = 40

_EXPECTED: Final[dict[Kind, str]] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "text": "a string",
    "uuid": "a UUID as a string",
    "bytes": r'bytes as a string such as "\\x0aff"',
    "date": 'a date as a string such as "2026-01-31"',
    "time": 'a time as a string such as "12:30:00"',
    "timestamp": 'a time as a string such as "2026-01-31T12:30:00Z"',
    "interval": 'an interval as a string such as "1 day 02:00:00"',
    "enum": "one of its labels as a string",
    "range": 'a range as a string such as "[1,10)"',
    "composite": "an object, or the row's text form as a string",
    "vector": "an array of numbers",
    "tsvector": "a tsvector as a string",
    "network": 'an address as a string such as "10.0.0.0/8"',
    "other": "a string in PostgreSQL's text form",
}


class Values:
    """How the values of one column are encoded.

    Args:
        column: The column, which messages name.
        kind_of: What the values are values of, where it is not the column itself: an array's element, a text in it.
        render: How they are rendered, where `kind_of` does not say it.
    """

    def __init__(self, column: Column, kind_of: Column | None = None, render: Render | None = None) -> None:
        self._column = column
        self._kind_of = kind_of or column
        self._render = render or renderer(self._kind_of)

    def value(self, value: Json) -> str | None:
        """A value to be stored; null is SQL's NULL, for a json column too.

        Raises:
            DbifyError: INVALID_VALUE, naming the column and what it expects.
        """
        return None if value is None else self.operand(value)

    def operand(self, value: Json) -> str:
        """A value to be compared with, which is not null."""
        text = self._render(value)
        if text is None:
            raise self._invalid(_expected(self._kind_of), value)
        if "\0" in text:
            raise DbifyError(
                Code.INVALID_VALUE,
                f'The value for "{self._column.name}" has the character U+0000, which PostgreSQL cannot hold.',
                {"column": self._column.name},
            )
        return text

    def operands(self, value: Json) -> list[str | None]:
        """A list of values to be compared with, none of them null."""
        if not isinstance(value, list):
            raise self._invalid("an array of values", value)
        if len(value) > MAX_LIST:
            raise DbifyError(
                Code.TOO_COMPLEX,
                f'The list for "{self._column.name}" has {len(value):,} values, the limit is {MAX_LIST:,}.',
            )
        if None in value:
            raise DbifyError(
                Code.INVALID_VALUE,
                f'The list for "{self._column.name}" has a null, which equals nothing: '
                'ask for {"isNull": true} beside it, in an "OR".',
                {"column": self._column.name},
            )
        return [self.operand(each) for each in value]

    def from_rows(self, rows: Json) -> list[str | None]:
        """This column's value in each row of a bulk create."""
        texts: list[str | None] = []
        for position, row in enumerate(rows if isinstance(rows, list) else [rows]):
            try:
                texts.append(self.value(row[self._column.name] if isinstance(row, dict) else None))
            except DbifyError as error:
                raise DbifyError(error.code, error.message, {**error.details, "row": position}) from None
        return texts

    def _invalid(self, expected: str, value: Json) -> DbifyError:
        return DbifyError(
            Code.INVALID_VALUE,
            f'"{self._column.name}" ({self._column.type}) expects {expected}, not {described(value)}.',
            {"column": self._column.name, "type": self._column.type, "expected": expected},
        )


def pattern(before: str, after: str) -> Callable[[str], str]:
    r"""How a text is looked for literally by LIKE: its %, _ and \ stand for themselves."""

    def escape(text: str) -> str:
        literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"{before}{literal}{after}"

    return escape


def scalar_text(value: Json) -> str | None:
    """A scalar as `#>>` shows it: what a value inside a JSON column is compared by."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return _number(value)


def path_texts(value: Json) -> list[str | None]:
    """The keys and positions that lead to a value inside a JSON column."""
    steps = value if isinstance(value, list) else []
    texts = [step if isinstance(step, str) else _whole(step) for step in steps]
    if not texts or None in texts or any(text and "\0" in text for text in texts):
        raise DbifyError(Code.INVALID_REQUEST, '"path" must be an array of keys and positions, such as ["tags", 0].')
    return texts


def count_of(value: Json) -> str:
    """How many rows a create's `data` has."""
    return str(len(value) if isinstance(value, list) else 1)


def digits_of(value: Json) -> str:
    """A whole number whose form was checked with its shape."""
    return str(value)


def renderer(column: Column) -> Render:
    """How values of a column's kind are rendered; a string always passes as PostgreSQL's text form, but for json."""
    if column.kind == "array":
        return _Array(types.element(column)).render
    if types.local(types.base(column)) == "hstore":
        return _hstore
    return _RENDERERS.get(column.kind, _string)


def _expected(column: Column) -> str:
    if column.kind == "array":
        return f"an array, each entry null or {_expected(types.element(column))}"
    return _EXPECTED.get(column.kind, "a value")


def _string(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _boolean(value: Json) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _string(value)


def _number(value: Json) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return digits(value) if isinstance(value, msgspec.Raw) else _string(value)


def _whole(value: Json) -> str | None:
    if not isinstance(value, msgspec.Raw):
        return _number(value)
    try:
        number = Decimal(digits(value))
    except InvalidOperation:
        return None
    if number.adjusted() > _MAX_EXPONENT or number != number.to_integral_value():
        return None
    return str(int(number))


def _json(value: Json) -> str | None:
    return encode(value)


def _composite(value: Json) -> str | None:
    return encode(value) if isinstance(value, dict) else _string(value)


def _vector(value: Json) -> str | None:
    if not isinstance(value, list):
        return _string(value)
    numbers = [None if isinstance(each, str) else _number(each) for each in value]
    return None if None in numbers else f"[{','.join(filter(None, numbers))}]"


def _hstore(value: Json) -> str | None:
    if not isinstance(value, dict):
        return _string(value)
    if not all(each is None or isinstance(each, str) for each in value.values()):
        return None
    return ",".join(
        f"{_in_quotes(key)}=>{'NULL' if each is None else _in_quotes(str(each))}" for key, each in value.items()
    )


def _in_quotes(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class _Array:
    """Arrays of one element type, of any dimensions, as `{...}` literals."""

    def __init__(self, element: Column) -> None:
        self._element = _string if element.kind == "composite" else renderer(element)
        self._is_json = element.kind == "json"
        self._is_composite = element.kind == "composite"
        # The one type of PostgreSQL's own whose elements are not parted by a comma.
        self._separator = ";" if element.type == "box" else ","

    def render(self, value: Json) -> str | None:
        if not isinstance(value, list):
            return _string(value)
        # Objects go as JSON, which `types.cast` reads: `{...}` cannot carry what is still to be made a row.
        if self._is_composite and value and all(isinstance(each, dict) for each in value):
            return encode(value)
        return self._list(value, 1)

    def _list(self, values: list[Json], dimensions: int) -> str | None:
        if dimensions > _MAX_DIMENSIONS:
            return None
        texts = [self._one(value, dimensions) for value in values]
        return None if None in texts else f"{{{self._separator.join(filter(None, texts))}}}"

    def _one(self, value: Json, dimensions: int) -> str | None:
        if value is None:
            return "NULL"
        # In an array of json, an inner array is a value.
        if isinstance(value, list) and not self._is_json:
            return self._list(value, dimensions + 1)
        text = self._element(value)
        return None if text is None else _in_quotes(text)


_RENDERERS: Final[dict[Kind, Render]] = {
    "boolean": _boolean,
    "integer": _whole,
    "number": _number,
    "json": _json,
    "composite": _composite,
    "vector": _vector,
    "other": _number,
}
