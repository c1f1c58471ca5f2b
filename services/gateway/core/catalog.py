"""A project's tables by the names that requests call them by."""

from collections.abc import Iterator, Mapping
from functools import cached_property

from libs.common.errors import Code, DbifyError
from libs.common.schema import Column, Schema, Table
from services.gateway.core.json import shown
from services.gateway.core.names import suggestion
from services.gateway.core.statements import Statements

# What an error lists at most.
_MOST_NAMED = 20


class Relation:
    """A table or view with its columns at hand, and the statements compiled for its catalog's tables."""

    def __init__(self, table: Table, statements: Statements) -> None:
        self.table = table
        self.statements = statements
        self.name = f"{table.schema}.{table.name}"

    @cached_property
    def columns(self) -> Mapping[str, Column]:
        """The columns by name, in the table's order."""
        return {column.name: column for column in self.table.columns}

    @cached_property
    def keys(self) -> tuple[frozenset[str], ...]:
        """Sets of columns whose values name one row at most; a unique column counts though it may be null."""
        unique = (self.table.primary_key, *(unique.columns for unique in self.table.uniques))
        return tuple(frozenset(columns) for columns in unique if columns)

    def column(self, name: str, hint: str = "") -> Column:
        """The column of exactly this name.

        Args:
            name: The name as the request has it.
            hint: What to say instead of the nearest column.

        Raises:
            DbifyError: COLUMN_NOT_FOUND, with the nearest name.
        """
        found = self.columns.get(name)
        if found is None:
            meant = hint or suggestion(name, self.columns)
            raise DbifyError(
                Code.COLUMN_NOT_FOUND,
                f'The table "{self.name}" has no column "{shown(name)}".{meant}',
                {"table": self.name, "column": shown(name), "columns": list(self.columns)[:_MOST_NAMED]},
            )
        return found


class Catalog:
    """The tables of one snapshot; it never changes, a newer snapshot makes another."""

    def __init__(self, schema: Schema) -> None:
        self.version = schema.version
        self.schema = schema
        statements = Statements()
        self._search_path = schema.search_path
        self._relations: dict[str, dict[str, Relation]] = {}
        for table in schema.tables:
            self._relations.setdefault(table.name, {})[table.schema] = Relation(table, statements)

    def resolve(self, name: str) -> Relation:
        """The table that a request calls `schema.table` or `table`.

        A name with dots is first read as schema and table, at whichever dot fits, then as a table's whole name.

        Raises:
            DbifyError: TABLE_NOT_FOUND with the nearest name, or TABLE_AMBIGUOUS with those it may mean.
        """
        qualified = [
            self._relations[table][schema]
            for schema, table in _splits(name)
            if schema in self._relations.get(table, ())
        ]
        found = qualified or self._unqualified(name)
        if len(found) == 1:
            return found[0]
        if found:
            names = [relation.name for relation in found]
            raise DbifyError(
                Code.TABLE_AMBIGUOUS,
                f'Several schemas have a table "{shown(name)}": write one of {", ".join(names[:_MOST_NAMED])}.',
                {"table": shown(name), "tables": names[:_MOST_NAMED]},
            )
        raise DbifyError(
            Code.TABLE_NOT_FOUND,
            f'No table "{shown(name)}".{suggestion(name, self._names())}',
            {"table": shown(name)},
        )

    def _unqualified(self, name: str) -> list[Relation]:
        by_schema = self._relations.get(name, {})
        on_path = [by_schema[schema] for schema in self._search_path if schema in by_schema]
        return on_path[:1] or list(by_schema.values())

    def _names(self) -> Iterator[str]:
        for name, by_schema in self._relations.items():
            yield name
            yield from (relation.name for relation in by_schema.values())


def _splits(name: str) -> Iterator[tuple[str, str]]:
    dot = name.find(".")
    while dot != -1:
        yield name[:dot], name[dot + 1 :]
        dot = name.find(".", dot + 1)
