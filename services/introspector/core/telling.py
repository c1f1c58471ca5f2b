"""How changes are told: as much as fits, and whom to ask about."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from libs.common.changes import Change, Impact
from libs.common.events import MAX_CHANGES_BYTES, SchemaChanged
from libs.common.ids import ProjectId
from libs.common.logs import ColumnUse
from libs.common.schema import Schema
from services.introspector.core.sqltext import qualified

# Of one change in an event: a table's whole description may be longer than all else there is to tell.
_MAX_CHANGE_BYTES: Final = 4 * 1024
# What a question may hold; a change of more concerns everybody.
_MAX_TABLES: Final = 1_000
_MAX_COLUMNS: Final = 2_000
_encoder: Final = msgspec.json.Encoder()


class Question(NamedTuple):
    """Tables and columns, as requests so far have called them."""

    tables: tuple[str, ...]
    columns: tuple[ColumnUse, ...]


class Told(NamedTuple):
    """A version's changes with what else is known about them."""

    from_version: int
    to_version: int
    changes: tuple[Change, ...]
    impact: Impact


def announcement(project: ProjectId, told: Told) -> SchemaChanged:
    """The event: at most `MAX_CHANGES_BYTES`, with a link to the whole."""
    event = SchemaChanged(
        told.from_version,
        told.to_version,
        (),
        told.impact,
        len(told.changes),
        f"/v1/projects/{project}/changes/{told.to_version}",
    )
    room = MAX_CHANGES_BYTES - len(_encoder.encode(event))
    return replace(event, changes=fitting(told.changes, room))


def fitting(changes: Sequence[Change], room_bytes: int, each_bytes: int = _MAX_CHANGE_BYTES) -> tuple[Change, ...]:
    """As many of the changes as fit; what is longer than `each_bytes` is told without its description."""
    taken: list[Change] = []
    for change in changes:
        size_bytes, told = len(_encoder.encode(change)), change
        if size_bytes > each_bytes:
            told = replace(change, before=None, after=None)
            size_bytes = len(_encoder.encode(told))
        room_bytes -= size_bytes + 1
        if room_bytes < 0:
            break
        taken.append(told)
    return tuple(taken)


def question(changes: Sequence[Change], before: Schema) -> Question:
    """What to ask about: the tables and columns of changes that are not safe."""
    grave = [change for change in changes if change.level != "safe"]
    old = _OldNames(changes, before)
    tables = dict.fromkeys(table for change in grave for table in _tables(change, old, before))
    columns = dict.fromkeys(use for change in grave for use in _columns(change, old, before))
    alone = [use for use in columns if use.table not in tables]
    return Question(tuple(tables)[:_MAX_TABLES], tuple(alone[:_MAX_COLUMNS]))


class _OldNames:
    """What tables and columns were called."""

    def __init__(self, changes: Sequence[Change], before: Schema) -> None:
        self._schemas = {str(it.after): str(it.before) for it in changes if it.kind == "schema.renamed"}
        self._tables = {str(it.after): str(it.before) for it in changes if it.kind in {"table.renamed", "view.renamed"}}
        self._columns = {(it.table, it.column): str(it.before) for it in changes if it.kind == "column.renamed"}
        self._known = {f"{table.schema}.{table.name}" for table in before.tables}

    def table(self, name: str) -> str:
        """A table's old name."""
        if name in self._tables:
            return self._tables[name]
        schema, _, bare = name.partition(".")
        moved = f"{self._schemas.get(schema, schema)}.{bare}"
        return moved if moved in self._known else name

    def column(self, table: str, name: str) -> ColumnUse:
        """A column's old name, in its table's."""
        return ColumnUse(self.table(table), self._columns.get((table, name), name))


def _tables(change: Change, old: _OldNames, before: Schema) -> Iterator[str]:
    noun, verb = change.kind.split(".")
    if change.kind == "schema.renamed":
        yield from (f"{table.schema}.{table.name}" for table in before.tables if table.schema == change.before)
    elif noun in {"table", "view"} and verb != "added":
        yield old.table(change.name)
    elif change.table and noun == "constraint" and not _named(change):
        yield old.table(change.table)


def _columns(change: Change, old: _OldNames, before: Schema) -> Iterator[ColumnUse]:
    if change.kind == "enum.altered":
        yield from _of_type(change.name, before)
    elif change.table and change.column and change.kind != "column.added":
        yield old.column(change.table, change.column)
    elif change.table and not change.column:
        yield from (old.column(change.table, name) for name in _named(change))


def _named(change: Change) -> list[str]:
    """The columns of a constraint or index."""
    facts: Any = change.before or change.after
    if change.kind.startswith(("constraint.", "index.")) and isinstance(facts, Mapping):
        return [name for name in facts.get("columns", ()) if name]
    return []


def _of_type(enum: str, before: Schema) -> Iterator[ColumnUse]:
    for table in before.tables:
        for column in table.columns:
            name = qualified(column.element or column.base or column.type) if column.enum else None
            if name is not None and f"{name[0]}.{name[1]}" == enum:
                yield ColumnUse(f"{table.schema}.{table.name}", column.name)
