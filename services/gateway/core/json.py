"""JSON values as requests bring them: every digit of a number is kept."""

from typing import TypeAlias

import msgspec

# A number with a fraction or an exponent is `msgspec.Raw`: its digits as they were written.
Json: TypeAlias = bool | int | msgspec.Raw | str | list["Json"] | dict[str, "Json"] | None
Object: TypeAlias = dict[str, Json]

# Where a value stands: the keys and positions that lead to it from the payload.
Path: TypeAlias = tuple[str | int, ...]

# What of a name goes into a message; PostgreSQL's own names have at most 63 bytes.
_SHOWN_NAME = 80

_decoder = msgspec.json.Decoder(float_hook=lambda digits: msgspec.Raw(digits.encode()))
_NAMES: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    msgspec.Raw: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def decode(text: bytes) -> Json:
    """The JSON value of a text.

    Raises:
        ValueError: If it is not JSON in UTF-8.
        RecursionError: If it nests deeper than the interpreter can follow.
    """
    value: Json = _decoder.decode(text)
    return value


def encode(value: Json) -> str:
    """A value as JSON text."""
    return msgspec.json.encode(value).decode()


def digits(number: msgspec.Raw) -> str:
    """A number as it was written."""
    return bytes(number).decode()


def described(value: Json) -> str:
    """What sort of value it is, for a message; never the value."""
    return _NAMES.get(type(value), "null")


def shown(name: str) -> str:
    """A name for a message, cut where no name can be that long."""
    return name if len(name) <= _SHOWN_NAME else f"{name[:_SHOWN_NAME]}..."


def place(path: Path) -> str:
    """A path for a message: `where.AND[0].title`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return text.removeprefix(".") or "payload"


def dig(value: Json, path: Path) -> Json:
    """The value that stands at `path`, which must be there."""
    for part in path:
        value = value[part]  # type: ignore[index]  # the path was read off this very shape
    return value
