"""What turned one snapshot into the next."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec

from libs.common.changes import LEVELS, Change
from libs.common.schema import Column, Schema
from services.introspector.core import levels
from services.introspector.core.levels import Verdict
from services.introspector.core.parts import pairs, parts
from services.introspector.core.renames import NONE, Renames, renames, same_database, with_new_names
from services.introspector.core.sqltext import Name, Renamed, follows, renamed
from services.introspector.core.structure import (
    VIEWS,
    Relation,
    Signature,
    Structure,
    camel,
    describe,
    describe_relation,
    shown,
    shown_function,
    structure,
)

Part = TypeVar("Part", bound=msgspec.Struct)

# A column's type is one fact, told in several fields.
_TYPE: Final = ("type", "kind", "element", "element_kind", "base", "enum")


def diff(before: Schema, after: Schema, *, moved: bool = False) -> tuple[Change, ...]:
    """The changes that turn `before` into `after`, the gravest first; none where requests could tell no difference.

    Args:
        before: The snapshot so far.
        after: What was read now.
        moved: Whether the project got another URL in between.
    """
    if _same(before, after):
        return ()
    names = renames(before, after) if same_database(before.database, after.database, moved=moved) else NONE
    old, new = structure(before), structure(after)
    changes = (*_renamed(names, new), *_differences(with_new_names(old, names), new, names))
    return tuple(sorted(changes, key=lambda it: (LEVELS.index(it.level), it.table or "", it.kind, it.name)))


def _same(before: Schema, after: Schema) -> bool:
    """Whether nothing at all has changed, which is quickly seen."""
    return (before.tables, before.enums, before.functions, before.schemas, before.search_path) == (
        after.tables, after.enums, after.functions, after.schemas, after.search_path
    )  # fmt: skip


def _noun(relation: Relation) -> str:
    return "view" if relation.facts.kind in VIEWS else "table"


def _renamed(names: Renames, new: Structure) -> Iterator[Change]:
    """What was renamed by itself, not as part of a schema that was."""
    for old, now in names.schemas.items():
        yield _whole("schema.renamed", now, old, now, levels.RENAMED)
    for name, successor in names.relations.items():
        if _home(name, names) != successor:
            kind, table = f"{_noun(new.relations[successor])}.renamed", shown(successor)
            yield Change(kind, table, table, None, shown(name), table, *levels.RENAMED)
    for name, columns in names.columns.items():
        table = shown(names.relations.get(name, name))
        for was, now in columns.items():
            yield Change("column.renamed", now, table, now, was, now, *levels.RENAMED_COLUMN)
    yield from _renamed_types(names)


def _renamed_types(names: Renames) -> Iterator[Change]:
    """A function whose name stayed has arguments of types that were renamed."""
    found = Renamed({**names.relations, **names.enums}, {}, names.schemas)
    for name, successor in names.enums.items():
        if _home(name, names) != successor:
            yield _whole("enum.renamed", shown(successor), shown(name), shown(successor), levels.NAME_ONLY)
    for function, called in names.functions.items():
        schema, bare = _home((function.schema, function.name), names)
        if called != Signature(schema, bare, tuple(renamed(it, found) for it in function.types)):
            was, now = shown_function(function), shown_function(called)
            verdict = levels.NAME_ONLY if (schema, bare) == called[:2] else levels.RENAMED
            yield _whole("function.renamed", now, was, now, verdict)


def _home(name: Name, names: Renames) -> Name:
    """The name in its schema, as that is called now."""
    return names.schemas.get(name[0], name[0]), name[1]


def _whole(kind: str, name: str, before: object, after: object, verdict: Verdict) -> Change:
    """A change of something that belongs to no table."""
    return Change(kind, name, None, None, before, after, *verdict)


def _differences(old: Structure, new: Structure, names: Renames) -> Iterator[Change]:
    """What differs once everything has its new name."""
    for schema in sorted(old.schemas - new.schemas):
        yield _whole("schema.dropped", schema, schema, None, levels.SCHEMA_GONE)
    for schema in sorted(new.schemas - old.schemas):
        yield _whole("schema.added", schema, None, schema, levels.NEW)
    if old.search_path != new.search_path:
        yield _whole("search_path.altered", "search_path", old.search_path, new.search_path, levels.SEARCH_PATH)
    yield from _relations(old, new, names)
    yield from _enums(old.enums, new.enums)
    yield from _functions(old, new)


def _relations(old: Structure, new: Structure, names: Renames) -> Iterator[Change]:
    for name, before, after in pairs(old.relations, new.relations):
        if after is None and before is not None:
            yield Change(
                f"{_noun(before)}.dropped",
                shown(name),
                shown(name),
                None,
                describe_relation(before),
                None,
                *levels.GONE,
            )
        elif before is None and after is not None:
            verdict = levels.hidden(name[1]) if _hides(name, old, new) else levels.NEW
            yield Change(
                f"{_noun(after)}.added", shown(name), shown(name), None, None, describe_relation(after), *verdict
            )
        elif before is not None and after is not None and before != after:
            yield from _relation(shown(name), before, after, _all_names(names))


def _hides(name: Name, old: Structure, new: Structure) -> bool:
    """Whether the table's bare name meant another one."""
    meant = _meaning(name[1], old)
    return bool(meant) and meant != _meaning(name[1], new)


def _meaning(bare: str, found: Structure) -> tuple[Name, ...]:
    """The tables that a bare name may mean: the first on the search path, else all there are."""
    for schema in found.search_path:
        if (schema, bare) in found.relations:
            return ((schema, bare),)
    return tuple((schema, bare) for schema in sorted(found.schemas) if (schema, bare) in found.relations)


def _all_names(names: Renames) -> Renamed:
    columns = {old: new for table in names.columns.values() for old, new in table.items()}
    return Renamed({**names.relations, **names.enums}, columns, names.schemas)


def _relation(table: str, before: Relation, after: Relation, names: Renamed) -> Iterator[Change]:
    yield from _facts(table, before, after, names)
    yield from _columns(table, before, after)
    yield from parts(table, "constraint", before.constraints, after.constraints)
    yield from parts(table, "index", before.indexes, after.indexes)


def _facts(table: str, before: Relation, after: Relation, names: Renamed) -> Iterator[Change]:
    for field in ("kind", "writable", "row_security", "definition", "comment"):
        was, now = getattr(before.facts, field), getattr(after.facts, field)
        if was == now:
            continue
        verdict = levels.relation_fact(field, before.facts, after.facts)
        if field == "definition" and follows(was, now, names):
            verdict = levels.FOLLOWS
        yield Change(f"{_noun(after)}.altered", table, table, None, {camel(field): was}, {camel(field): now}, *verdict)


def _columns(table: str, before: Relation, after: Relation) -> Iterator[Change]:
    view = after.facts.kind in VIEWS
    for name, was, now in pairs(before.columns, after.columns):
        if now is None and was is not None:
            yield Change("column.dropped", name, table, name, describe(was), None, *levels.GONE_COLUMN)
        elif was is None and now is not None:
            yield Change("column.added", name, table, name, None, describe(now), *levels.new_column(now, view=view))
        elif was is not None and now is not None and was != now:
            for fields, verdict in _altered(was, now):
                yield Change("column.altered", name, table, name, _some(was, fields), _some(now, fields), *verdict)


def _altered(was: Column, now: Column) -> Iterator[tuple[tuple[str, ...], Verdict]]:
    """What differs, each with the fields that tell it."""
    if _some(was, _TYPE) != _some(now, _TYPE):
        others = tuple(field for field in _TYPE if field == "type" or getattr(was, field) != getattr(now, field))
        yield others, levels.column_type(was, now)
    if was.nullable != now.nullable:
        yield ("nullable",), levels.nullable(now)
    if was.default != now.default:
        yield ("default",), levels.default(was, now)
    if was.identity != now.identity:
        yield ("identity",), levels.identity(now)
    if was.generated != now.generated:
        yield ("generated",), levels.generated(now)
    if was.comment != now.comment:
        yield ("comment",), levels.COMMENT


def _enums(before: Mapping[Name, tuple[str, ...]], after: Mapping[Name, tuple[str, ...]]) -> Iterator[Change]:
    for name, was, now in pairs(before, after):
        if now is None:
            yield _whole("enum.dropped", shown(name), {"labels": was}, None, levels.ENUM_GONE)
        elif was is None:
            yield _whole("enum.added", shown(name), None, {"labels": now}, levels.NEW)
        elif was != now:
            yield _whole("enum.altered", shown(name), {"labels": was}, {"labels": now}, levels.labels(was, now))


def _functions(old: Structure, new: Structure) -> Iterator[Change]:
    for name, was, now in pairs(old.functions, new.functions):
        shown_name = shown_function(Signature(*name))
        if now is None and was is not None:
            yield _whole("function.dropped", shown_name, describe(was), None, levels.GONE)
        elif was is None and now is not None:
            yield _whole("function.added", shown_name, None, describe(now), levels.NEW)
        elif was is not None and now is not None and was != now:
            yield _whole("function.altered", shown_name, describe(was), describe(now), levels.function_fact(was, now))


def _some(part: Part, fields: tuple[str, ...]) -> dict[str, Any]:
    return {camel(field): getattr(part, field) for field in fields}
