"""A project's tables as types of TypeScript and of Python, the way answers have them."""

import json
import keyword
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from libs.common.schema import Column, Kind, Schema, Table
from services.gateway.core import types
from services.gateway.core.openapi import Names
from services.gateway.core.openapi_tables import is_needed, is_writable

Language = Literal["ts", "py"]

_TYPESCRIPT: Final[Mapping[Kind, str]] = {
    "boolean": "boolean", "integer": "number", "number": "number", "json": "Json", "composite": "Record<string, Json>",
}  # fmt: skip
_PYTHON: Final[Mapping[Kind, str]] = {
    "boolean": "bool", "integer": "int", "number": "float", "json": "Json", "composite": "dict[str, Json]",
}  # fmt: skip
# Names that the declarations use themselves, or that the languages keep.
_TAKEN: Final = frozenset(
    {"Json", "Tables", "Record", "Any", "Literal", "NotRequired", "TypedDict", "True", "False", "None"}
)
_WORDS: Final = re.compile(r"[^A-Za-z0-9]+")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_HEAD: Final[Mapping[Language, str]] = {
    "ts": (
        "// Made by Dbify from version {version} of the schema. Numbers are as JSON has them: ask with\n"
        '// "stringifyNumeric": true where they have more digits than a double holds.\n\n'
        "export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };\n"
    ),
    "py": (
        '"""Made by Dbify from version {version} of the schema."""\n\n'
        "from __future__ import annotations\n\n"
        "from typing import Any, Literal, NotRequired, TypedDict\n\n"
        "Json = Any\n"
    ),
}


def declarations(schema: Schema, language: Language) -> str:
    """The types of all tables: a row, what makes a new one, and what may change in one."""
    names, taken = Names(schema), set(_TAKEN)
    parts = [_HEAD[language].replace("{version}", str(schema.version))]
    tables: dict[str, str] = {}
    for table in schema.tables:
        title, _ = names.of(table)
        name = _class_name(title, taken)
        tables[title] = name
        parts.extend(_python(table, name) if language == "py" else _typescript(table, name))
    if language == "ts":
        lines = "".join(f"  {json.dumps(title)}: {name};\n" for title, name in tables.items())
        parts.append(f"export interface Tables {{\n{lines}}}\n")
    return "\n".join(parts)


def _class_name(title: str, taken: set[str]) -> str:
    words = "".join(word[:1].upper() + word[1:] for word in _WORDS.split(title) if word)
    name = words if words[:1].isalpha() else f"Table{words}"
    while not taken.isdisjoint({name, f"{name}New", f"{name}Change"}):
        name += "_"
    taken |= {name, f"{name}New", f"{name}Change"}
    return name


def _forms(table: Table, name: str) -> Iterator[tuple[str, Sequence[tuple[Column, bool]]]]:
    """Each type's name with its columns, and whether they have to be there."""
    writable = [column for column in table.columns if is_writable(column)]
    yield name, [(column, True) for column in table.columns]
    if "insert" in table.writable:
        yield f"{name}New", [(column, is_needed(column)) for column in writable]
    if "update" in table.writable:
        yield f"{name}Change", [(column, False) for column in writable]


def _typescript(table: Table, name: str) -> Iterator[str]:
    for form, columns in _forms(table, name):
        lines = [
            f"  {_commented(column)}{_key(column.name)}{'' if required else '?'}: {_type(column, 'ts')};\n"
            for column, required in columns
        ]
        yield f"export interface {form} {{\n{''.join(lines)}}}\n"


def _python(table: Table, name: str) -> Iterator[str]:
    for form, columns in _forms(table, name):
        fields = [
            (column.name, _type(column, "py") if required else f"NotRequired[{_type(column, 'py')}]")
            for column, required in columns
        ]
        if all(field.isidentifier() and not keyword.iskeyword(field) for field, _ in fields):
            lines = "".join(f"    {field}: {text}\n" for field, text in fields) or "    pass\n"
            yield f"\nclass {form}(TypedDict):\n{lines}"
        else:
            # Names that Python cannot spell; the types in quotes, as here they would be worked out at once.
            lines = "".join(f"        {field!r}: {text!r},\n" for field, text in fields)
            yield f"\n{form} = TypedDict(\n    {form!r},\n    {{\n{lines}    }},\n)\n"


def _commented(column: Column) -> str:
    if not column.comment:
        return ""
    text = " ".join(column.comment.replace("*/", "* /").split())
    return f"/** {text} */\n  "


def _key(name: str) -> str:
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def _type(column: Column, language: Language) -> str:
    found = _value(column, language)
    nothing = "null" if language == "ts" else "None"
    return f"{found} | {nothing}" if column.nullable and found != "Json" else found


def _value(column: Column, language: Language) -> str:
    if column.kind == "array":
        element = _type(types.element(column), language)
        return f"list[{element}]" if language == "py" else f"({element})[]"
    if column.kind == "enum" and column.enum:
        if language == "py":
            return f"Literal[{', '.join(map(repr, column.enum))}]"
        return " | ".join(map(json.dumps, column.enum))
    known = _PYTHON if language == "py" else _TYPESCRIPT
    return known.get(column.kind, "str" if language == "py" else "string")
