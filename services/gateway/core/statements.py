"""Compiled statements, kept for the next request of the same shape."""

from collections.abc import Hashable
from typing import Final

from services.gateway.core.statement import Statement

# Some 2 MB a project at most: an application has tens of shapes, a stranger's may be without end.
_MOST: Final = 256
_LONGEST_SQL: Final = 4_096


class Statements:
    """Statements by table and shape; the one that went unused longest makes room."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, Hashable], Statement] = {}

    def get(self, table: object, shape: Hashable) -> Statement | None:
        """The statement, if it is kept."""
        statement = self._kept.pop((table, shape), None)
        if statement is not None:
            self._kept[table, shape] = statement
        return statement

    def keep(self, table: object, shape: Hashable, statement: Statement) -> Statement:
        """Keep a statement, unless it is a giant that will hardly come again."""
        if len(statement.sql) <= _LONGEST_SQL:
            self._kept[table, shape] = statement
            if len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
        return statement
