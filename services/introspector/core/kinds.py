"""What sort of values a type takes: domains seen through to their base, arrays to their element."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from libs.common.kinds import kind_of
from libs.common.schema import Kind
from services.introspector.core.rows import TypeRow


class Resolved(NamedTuple):
    """What a type comes to; `base` is a domain's, `element` is empty where only the column's own SQL can tell it."""

    kind: Kind
    base: str = ""
    element: str = ""
    element_kind: Kind = "other"
    enum: tuple[str, ...] = ()
    not_null: bool = False
    default: str | None = None


_UNKNOWN: Final = Resolved("other")
# Domains over domains over arrays of them: no one nests so deep, and a lying server could send a circle.
_MAX_DEPTH: Final = 32


class Types:
    """The types of one look, by oid."""

    def __init__(self, rows: Mapping[int, TypeRow]) -> None:
        self._rows = rows
        self._resolved: dict[int, Resolved] = {}

    def resolve(self, oid: int, sql: str) -> Resolved:
        """The type's kind, element and labels; `sql` is how the column or argument names it."""
        found = self._resolved.get(oid)
        if found is None:
            found = self._resolved[oid] = self._find(oid)
        if found.kind == "array" and not found.element:
            return found._replace(element=sql.removesuffix("[]"))
        return found

    def _find(self, oid: int, sql: str = "", depth: int = 0) -> Resolved:
        row = self._rows.get(oid)
        if row is None or depth > _MAX_DEPTH:
            return _UNKNOWN
        if row.kind == "d":
            base = self._find(row.base, row.base_sql, depth + 1)
            # The outer domain's default stands before its base's.
            default = base.default if row.default is None else row.default
            return base._replace(
                base=base.base or row.base_sql, not_null=row.not_null or base.not_null, default=default
            )
        if row.element:
            element = self._find(row.element, "", depth + 1)
            return Resolved("array", "", sql.removesuffix("[]"), element.kind, element.enum)
        return Resolved(kind_of(row.kind, row.name), enum=row.labels or ())
