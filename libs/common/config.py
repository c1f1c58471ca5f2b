"""A service's settings: one frozen struct, read from the environment once, at start."""

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

PREFIX = "DBIFY_"
_SECRET_ENDINGS = ("_url", "_key", "_password", "_secret", "_token")

T = TypeVar("T", bound=msgspec.Struct)


class ConfigError(ValueError):
    """What is wrong with the environment, in words for whoever sets it: a line a variable, and never a value."""


def load(type_: type[T], environ: Mapping[str, str]) -> T:
    """Read a struct's fields from variables: `nats_url` from `DBIFY_NATS_URL`.

    A variable that is set to nothing counts as not set, except for text with a default, where nothing is a value.

    Args:
        type_: A frozen struct of str, int, float, bool, Path, Literal and tuple[str, ...] (comma-separated), annotated
            with `Meta(description=..., examples=[...])`.
        environ: The environment.

    Raises:
        ConfigError: Naming every variable that is missing or malformed, what it is, and an example.
    """
    hints = get_type_hints(type_, include_extras=True)
    values: dict[str, object] = {}
    problems: list[str] = []
    for field in msgspec.structs.fields(type_):
        variable, text = PREFIX + field.name.upper(), environ.get(PREFIX + field.name.upper(), "")
        hint = hints[field.name]
        given = variable in environ and (text != "" or (not field.required and _is_text(hint)))
        if given:
            try:
                values[field.name] = _convert(text, hint)
            except (msgspec.ValidationError, ValueError) as error:
                problems.append(_explain(variable, field.name, hint, _complaint(field.name, text, error)))
        elif field.required:
            problems.append(_explain(variable, field.name, hint, "is not set"))
    if problems:
        raise ConfigError("\n".join(problems))
    return type_(**values)


def _plain(hint: object) -> object:
    """The type without its annotations and without `| None`."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        return next(_plain(part) for part in get_args(hint) if part is not types.NoneType)
    return hint


def _is_text(hint: object) -> bool:
    plain = _plain(hint)
    return plain is str or get_origin(plain) is tuple


def _convert(text: str, hint: object) -> object:
    """The variable's text as its type; msgspec checks whatever `Meta` demands."""
    plain = _plain(hint)
    if plain is Path:
        return Path(text).expanduser()
    if get_origin(plain) is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return msgspec.convert(parts, type=typing.cast("Any", hint), strict=False)
    if plain is str:
        return msgspec.convert(text, type=typing.cast("Any", hint))
    return msgspec.convert(text.strip(), type=typing.cast("Any", hint), strict=False)


def _complaint(name: str, text: str, error: Exception) -> str:
    """What is wrong, unless saying so would repeat the value."""
    if name.endswith(_SECRET_ENDINGS) or text in str(error):
        return "is malformed"
    return f"is malformed ({str(error)[:1].lower()}{str(error)[1:]})"


def _explain(variable: str, name: str, hint: object, problem: str) -> str:
    metas = [meta for meta in _annotations(hint) if isinstance(meta, msgspec.Meta)]
    description = next((meta.description for meta in metas if meta.description), name.replace("_", " "))
    example = next((meta.examples[0] for meta in metas if meta.examples), None)
    such_as = "" if example is None else f", for example {variable}={example}"
    return f"{variable} {problem}: {description.rstrip('.')}{such_as}"


def _annotations(hint: object) -> list[object]:
    found: list[object] = []
    while get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        found += metas
    return found
