"""What is called differently now: recognised by oid and number, which mean something within one database alone."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

from msgspec.structs import replace

from libs.common.schema import Column, Database, Index, Schema, Table
from services.introspector.core.sqltext import Name, Renamed, renamed
from services.introspector.core.structure import (
    Constraint,
    Facts,
    Relation,
    Routine,
    Signature,
    Structure,
    identity,
    signature,
)

Key = TypeVar("Key", bound=Hashable)
_NO_COLUMNS: Final[Mapping[str, str]] = {}


class Renames(NamedTuple):
    """New names by old ones.

    Attributes:
        relations: Tables and views, also those whose schema was renamed.
        columns: By their table's old name.
        functions: By signature, whose types are named as they were.
    """

    schemas: Mapping[str, str]
    relations: Mapping[Name, Name]
    columns: Mapping[Name, Mapping[str, str]]
    enums: Mapping[Name, Name]
    functions: Mapping[Signature, Signature]


NONE: Final = Renames({}, {}, {}, {}, {})


def same_database(before: Database, after: Database, *, moved: bool) -> bool:
    """Whether oids mean the same in both; a failover's new timeline keeps them.

    Args:
        before: The database that was looked at.
        after: The one that is looked at now.
        moved: Whether the project got another URL in between: then a server that does not say which it is, is another.
    """
    if (before.system, before.oid) != (after.system, after.oid):
        return False
    return bool(before.system) or (not moved and before.name == after.name)


def renames(before: Schema, after: Schema) -> Renames:
    """What was renamed between two snapshots of one database.

    A name that stands in both is the same thing, whatever its oid: requests can tell names alone.
    """
    schemas = _leftovers(zip(before.schemas, before.schema_oids, strict=False),
                         zip(after.schemas, after.schema_oids, strict=False))  # fmt: skip

    def home(schema: str) -> str:
        return schemas.get(schema, schema)

    relations = _moved(
        [((table.schema, table.name), table.oid) for table in before.tables],
        [((table.schema, table.name), table.oid) for table in after.tables],
        lambda name: (home(name[0]), name[1]),
    )
    enums = _moved(
        [((enum.schema, enum.name), enum.oid) for enum in before.enums],
        [((enum.schema, enum.name), enum.oid) for enum in after.enums],
        lambda name: (home(name[0]), name[1]),
    )
    found = Renamed({**relations, **enums}, {}, schemas)
    functions = _moved(
        [(signature(function), function.oid) for function in before.functions],
        [(signature(function), function.oid) for function in after.functions],
        lambda it: Signature(home(it.schema), it.name, tuple(renamed(type_, found) for type_ in it.types)),
    )
    return Renames(schemas, relations, _columns(before.tables, after.tables, relations), enums, functions)


def _moved(
    before: list[tuple[Key, int]], after: list[tuple[Key, int]], at_home: Callable[[Key], Key]
) -> dict[Key, Key]:
    """New names by old ones: those that follow from others, and those that an oid tells."""
    places = {at_home(name): name for name, _ in before}
    own = _leftovers([(at_home(name), oid) for name, oid in before], after)
    return {name: own.get(place, place) for place, name in places.items() if own.get(place, place) != name}


def _leftovers(before: Iterable[tuple[Key, int]], after: Iterable[tuple[Key, int]]) -> dict[Key, Key]:
    """Names that are gone and names that are new, matched by oid."""
    old, new = dict(before), dict(after)
    appeared = {oid: name for name, oid in new.items() if name not in old}
    return {name: appeared[oid] for name, oid in old.items() if name not in new and oid in appeared}


def _columns(
    before: tuple[Table, ...], after: tuple[Table, ...], relations: Mapping[Name, Name]
) -> dict[Name, dict[str, str]]:
    now = {(table.schema, table.name): table for table in after}
    found: dict[Name, dict[str, str]] = {}
    for table in before:
        name = table.schema, table.name
        successor = now.get(relations.get(name, name))
        # Numbers of a table that was made anew under the name are other columns'.
        if successor is None or successor.oid != table.oid or successor.columns == table.columns:
            continue
        columns = _leftovers(
            ((column.name, column.number) for column in table.columns),
            ((column.name, column.number) for column in successor.columns),
        )
        if columns:
            found[name] = columns
    return found


def with_new_names(structure: Structure, names: Renames) -> Structure:
    """The structure with new names for old ones everywhere that they stand."""
    if names == NONE:
        return structure
    found = Renamed({**names.relations, **names.enums}, {}, names.schemas)
    return Structure(
        schemas=frozenset(names.schemas.get(name, name) for name in structure.schemas),
        search_path=tuple(names.schemas.get(name, name) for name in structure.search_path),
        relations={
            names.relations.get(name, name): _relation(
                relation, names, found._replace(columns=names.columns.get(name, {}))
            )
            for name, relation in structure.relations.items()
        },
        enums={names.enums.get(name, name): labels for name, labels in structure.enums.items()},
        functions={
            names.functions.get(it, it): _routine(routine, found) for it, routine in structure.functions.items()
        },
    )


def _relation(relation: Relation, names: Renames, found: Renamed) -> Relation:
    columns = found.columns
    constraints = (_constraint(it, names, found) for it in relation.constraints.values())
    indexes = (_index(it, found) for it in relation.indexes.values())
    return Relation(
        facts=_facts(relation.facts, found),
        columns={columns.get(name, name): _column(it, found) for name, it in relation.columns.items()},
        constraints={identity(it): it for it in constraints},
        indexes={it.name: it for it in indexes},
    )


def _facts(facts: Facts, found: Renamed) -> Facts:
    """A query's columns are those of other tables."""
    return replace(facts, definition=renamed(facts.definition, found._replace(columns=_NO_COLUMNS)))


def _column(column: Column, found: Renamed) -> Column:
    types = found._replace(columns=_NO_COLUMNS)
    return replace(
        column,
        name=found.columns.get(column.name, column.name),
        type=renamed(column.type, types),
        element=renamed(column.element, types),
        base=renamed(column.base, types),
        default=None if column.default is None else renamed(column.default, found),
    )


def _constraint(constraint: Constraint, names: Renames, found: Renamed) -> Constraint:
    target = constraint.target
    far = names.columns.get(target, _NO_COLUMNS) if target else _NO_COLUMNS
    return replace(
        constraint,
        columns=tuple(found.columns.get(name, name) for name in constraint.columns),
        target=names.relations.get(target, target) if target else None,
        target_columns=tuple(far.get(name, name) for name in constraint.target_columns),
        definition=renamed(constraint.definition, found),
    )


def _index(index: Index, found: Renamed) -> Index:
    columns = tuple(None if name is None else found.columns.get(name, name) for name in index.columns)
    return replace(index, columns=columns, definition=renamed(index.definition, found))


def _routine(routine: Routine, found: Renamed) -> Routine:
    arguments = tuple(replace(it, type=renamed(it.type, found)) for it in routine.arguments)
    return replace(routine, arguments=arguments, returns=renamed(routine.returns, found))
