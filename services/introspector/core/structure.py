"""A schema as it is compared: by name, without oids, numbers and estimates, and each fact in one place."""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from libs.common.schema import Argument, Column, Function, Index, Schema, Table, TableKind
from services.introspector.core.sqltext import Name, qualified

VIEWS: Final = frozenset({"view", "materialized"})


class Constraint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A primary key, unique key, foreign key or check.

    Attributes:
        target: A foreign key's table.
        definition: A check's expression, or how a key's index is made.
    """

    type: Literal["primaryKey", "unique", "foreignKey", "check"]
    name: str
    columns: tuple[str, ...] = ()
    target: Name | None = None
    target_columns: tuple[str, ...] = ()
    on_update: str = ""
    on_delete: str = ""
    definition: str = ""


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is true of a table or view as a whole; `definition` is a view's query."""

    kind: TableKind
    writable: tuple[str, ...] = ()
    row_security: bool = False
    definition: str = ""
    comment: str = ""


class Relation(NamedTuple):
    """A table or view. Constraints are known by type and name, the primary key by its type alone."""

    facts: Facts
    columns: Mapping[str, Column]
    constraints: Mapping[Name, Constraint]
    indexes: Mapping[str, Index]


class Signature(NamedTuple):
    """What tells a function from others of its name."""

    schema: str
    name: str
    types: tuple[str, ...]


class Routine(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is true of a function."""

    arguments: tuple[Argument, ...]
    returns: str
    returns_set: bool
    volatility: Literal["immutable", "stable", "volatile"]
    procedure: bool = False
    comment: str = ""


class Structure(NamedTuple):
    """All of a schema that requests can tell."""

    schemas: frozenset[str]
    search_path: tuple[str, ...]
    relations: Mapping[Name, Relation]
    enums: Mapping[Name, tuple[str, ...]]
    functions: Mapping[Signature, Routine]


def structure(schema: Schema) -> Structure:
    """A schema's structure."""
    enums = {(enum.schema, enum.name): enum.labels for enum in schema.enums}
    return Structure(
        schemas=frozenset(schema.schemas),
        search_path=schema.search_path,
        relations={(table.schema, table.name): relation(table, enums) for table in schema.tables},
        enums=enums,
        functions={signature(function): _routine(function) for function in schema.functions},
    )


def signature(function: Function) -> Signature:
    """The function's signature."""
    return Signature(function.schema, function.name, tuple(argument.type for argument in function.arguments))


def relation(table: Table, enums: Mapping[Name, tuple[str, ...]]) -> Relation:
    """A table's structure; the labels of enums are told once, with the enum."""
    key = _key_index(table)
    backing = {unique.name for unique in table.uniques} | {"" if key is None else key.name}
    return Relation(
        facts=Facts(table.kind, table.writable, table.row_security, table.definition, table.comment),
        columns={column.name: _column(column, enums) for column in table.columns},
        constraints={identity(it): it for it in _constraints(table, key)},
        indexes={
            index.name: replace(index, definition=made(index)) for index in table.indexes if index.name not in backing
        },
    )


def identity(constraint: Constraint) -> Name:
    """What a constraint is known by."""
    return constraint.type, "" if constraint.type == "primaryKey" else constraint.name


def made(index: Index) -> str:
    """How an index is made: its definition without its name and table."""
    return index.definition.partition(" USING ")[2] or index.definition


def _column(column: Column, enums: Mapping[Name, tuple[str, ...]]) -> Column:
    labels: tuple[str, ...] = column.enum
    if labels:
        name = qualified(column.element or column.base or column.type)
        labels = () if name is not None and enums.get(name) == labels else labels
    return replace(column, number=0, enum=labels)


def _key_index(table: Table) -> Index | None:
    """The index beneath the primary key: of several unique ones over its columns that no unique key has, the first."""
    uniques = {unique.name for unique in table.uniques}
    found = [
        index
        for index in table.indexes
        if table.primary_key and index.unique and index.columns == table.primary_key and index.name not in uniques
    ]
    return min(found, key=lambda index: (not index.name.endswith("_pkey"), index.name), default=None)


def _constraints(table: Table, key: Index | None) -> list[Constraint]:
    definitions = {index.name: made(index) for index in table.indexes}
    found: list[Constraint] = []
    if table.primary_key:
        name, definition = ("", "") if key is None else (key.name, made(key))
        found.append(Constraint("primaryKey", name, table.primary_key, definition=definition))
    found += [
        Constraint("unique", it.name, it.columns, definition=definitions.get(it.name, "")) for it in table.uniques
    ]
    found += [
        Constraint(
            "foreignKey", it.name, it.columns, (it.target_schema, it.target_table), it.target_columns,
            it.on_update, it.on_delete,
        )
        for it in table.foreign_keys
    ]  # fmt: skip
    return found + [Constraint("check", it.name, definition=it.definition) for it in table.checks]


def _routine(function: Function) -> Routine:
    return Routine(
        function.arguments, function.returns, function.returns_set, function.volatility, function.procedure,
        function.comment,
    )  # fmt: skip


def describe(part: msgspec.Struct) -> dict[str, Any]:
    """A part as JSON shows it: what is not as usual, under camelCase names; a table of another is named in one word."""
    built: dict[str, Any] = _camel(msgspec.to_builtins(part))
    built.pop("number", None)
    if "target" in built:
        built["target"] = shown((built["target"][0], built["target"][1]))
    return built


def describe_relation(found: Relation) -> dict[str, Any]:
    """A table or view as JSON shows it, whole."""
    parts = {
        "columns": [describe(column) for column in found.columns.values()],
        "constraints": [describe(constraint) for constraint in found.constraints.values()],
        "indexes": [describe(index) for index in found.indexes.values()],
    }
    return {**describe(found.facts), **{name: listed for name, listed in parts.items() if listed}}


def _camel(value: Any) -> Any:
    """Every name in it is a field's."""
    if isinstance(value, dict):
        return {camel(name): _camel(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_camel(entry) for entry in value]
    return value


def camel(field: str) -> str:
    """The field as it is called in JSON."""
    first, *rest = field.split("_")
    return first + "".join(map(str.capitalize, rest))


def shown(name: Name) -> str:
    """`schema.name`, as it stands in requests, logs and events."""
    return f"{name[0]}.{name[1]}"


def shown_function(function: Signature) -> str:
    """`schema.name(type, type)`."""
    return f"{function.schema}.{function.name}({', '.join(function.types)})"
