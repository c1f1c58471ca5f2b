"""The catalog's rows as the look's one statement sends them: JSON arrays, a tag and a row each.

Tables are named by oid and columns by number here; `assemble` puts the names in.
"""

from typing import Literal

import msgspec

from services.introspector.core import limits
from services.introspector.core.limits import too_large


class RelationRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_class`; `updatable` are the bits of `pg_relation_is_updatable`."""

    oid: int
    schema: str
    name: str
    kind: Literal["r", "p", "v", "m", "f"]
    updatable: int
    row_security: bool
    estimated_rows: int
    definition: str
    comment: str


class ColumnRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_attribute`; `sql` is `format_type` with the modifier."""

    number: int
    name: str
    type: int
    sql: str
    nullable: bool
    default: str | None
    identity: str
    generated: bool
    comment: str


class ConstraintRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_constraint`: of kind p, f or c, with a check's expression as SQL, a foreign key's actions."""

    name: str
    kind: str
    columns: tuple[int, ...] | None
    target: int
    target_columns: tuple[int, ...] | None
    expression: str | None
    on_update: str = "a"
    on_delete: str = "a"


class IndexRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_index`: key columns (0 for an expression); `arbiter` where ON CONFLICT can name them."""

    name: str
    columns: tuple[int, ...]
    unique: bool
    arbiter: bool
    definition: str


class TypeRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_type` that a column or argument leads to; `element` is 0 for what is no array.

    A domain has its base type's oid, and that type as SQL with the domain's modifier.
    """

    oid: int
    kind: str
    name: str
    element: int
    base: int
    base_sql: str
    not_null: bool
    default: str | None
    labels: tuple[str, ...] | None


class EnumRow(msgspec.Struct, frozen=True, array_like=True):
    """An enum type of the user's own."""

    oid: int
    schema: str
    name: str
    labels: tuple[str, ...] | None


class ArgumentRow(msgspec.Struct, frozen=True, array_like=True):
    """An input argument of a function."""

    name: str
    type: int
    sql: str


class FunctionRow(msgspec.Struct, frozen=True, array_like=True):
    """A row of `pg_proc`; the last `optional` arguments have defaults."""

    oid: int
    schema: str
    name: str
    arguments: tuple[ArgumentRow, ...] | None
    optional: int
    returns: str
    returns_set: bool
    volatility: Literal["i", "s", "v"]
    procedure: bool
    comment: str


_relation = msgspec.json.Decoder(RelationRow)
_columns = msgspec.json.Decoder(tuple[int, tuple[ColumnRow, ...]])
_constraints = msgspec.json.Decoder(tuple[int, tuple[ConstraintRow, ...]])
_indexes = msgspec.json.Decoder(tuple[int, tuple[IndexRow, ...]])
_type = msgspec.json.Decoder(TypeRow)
_enum = msgspec.json.Decoder(EnumRow)
_function = msgspec.json.Decoder(FunctionRow)
_schema = msgspec.json.Decoder(tuple[str, int])


class Rows:
    """All rows of one look, collected as they arrive, so that a schema beyond the limits is given up early."""

    def __init__(self) -> None:
        self.schemas: list[tuple[str, int]] = []
        self.relations: list[RelationRow] = []
        self.columns: dict[int, tuple[ColumnRow, ...]] = {}
        self.constraints: dict[int, tuple[ConstraintRow, ...]] = {}
        self.indexes: dict[int, tuple[IndexRow, ...]] = {}
        self.types: dict[int, TypeRow] = {}
        self.enums: list[EnumRow] = []
        self.functions: list[FunctionRow] = []
        self._size_bytes = 0
        self._column_count = 0
        self._add = {
            "schema": self._add_schema,
            "relation": self._add_relation,
            "columns": self._add_columns,
            "constraints": self._add_constraints,
            "indexes": self._add_indexes,
            "type": self._add_type,
            "enum": self._add_enum,
            "function": self._add_function,
        }

    def add(self, tag: str, text: str) -> None:
        """Take one row.

        Raises:
            DbifyError: SCHEMA_TOO_LARGE, where the database has more than a snapshot may hold.
            msgspec.MsgspecError: Where the server sent something else than was asked for.
        """
        self._size_bytes += len(text)
        if self._size_bytes > limits.MAX_BYTES:
            raise too_large("its definitions take too many bytes", limits.MAX_BYTES)
        take = self._add.get(tag)
        if take is None:
            raise msgspec.ValidationError("a row of no known kind")
        take(text)

    def _add_schema(self, text: str) -> None:
        self.schemas.append(_schema.decode(text))

    def _add_relation(self, text: str) -> None:
        self.relations.append(_relation.decode(text))
        if len(self.relations) > limits.MAX_TABLES:
            raise too_large("it has too many tables", limits.MAX_TABLES)

    def _add_columns(self, text: str) -> None:
        table, columns = _columns.decode(text)
        self.columns[table] = columns
        self._column_count += len(columns)
        if self._column_count > limits.MAX_COLUMNS:
            raise too_large("it has too many columns", limits.MAX_COLUMNS)

    def _add_constraints(self, text: str) -> None:
        table, constraints = _constraints.decode(text)
        self.constraints[table] = constraints

    def _add_indexes(self, text: str) -> None:
        table, indexes = _indexes.decode(text)
        self.indexes[table] = indexes

    def _add_type(self, text: str) -> None:
        row = _type.decode(text)
        self.types[row.oid] = row

    def _add_enum(self, text: str) -> None:
        self.enums.append(_enum.decode(text))

    def _add_function(self, text: str) -> None:
        self.functions.append(_function.decode(text))
