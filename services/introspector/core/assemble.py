"""Put the rows of a look together into a Schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from libs.common.schema import (
    FORMAT,
    Action,
    Argument,
    Check,
    Column,
    Database,
    Enum,
    ForeignKey,
    Function,
    Index,
    Schema,
    Table,
    TableKind,
    Unique,
)
from services.introspector.core.kinds import Types
from services.introspector.core.limits import Room
from services.introspector.core.rows import (
    ColumnRow,
    ConstraintRow,
    EnumRow,
    FunctionRow,
    IndexRow,
    RelationRow,
    Rows,
)

_KINDS: Final[Mapping[str, TableKind]] = {
    "r": "table", "p": "partitioned", "v": "view", "m": "materialized", "f": "foreign",
}  # fmt: skip
_IDENTITIES: Final[Mapping[str, Literal["", "always", "default"]]] = {"a": "always", "d": "default"}
_VOLATILITIES: Final[Mapping[str, Literal["immutable", "stable", "volatile"]]] = {
    "i": "immutable", "s": "stable", "v": "volatile",
}  # fmt: skip
_ACTIONS: Final[Mapping[str, Action]] = {"r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}
# The bits of pg_relation_is_updatable are 1 << CmdType (nodes.h): update 2, insert 3, delete 4.
_WRITES: Final[tuple[tuple[Literal["insert", "update", "delete"], int], ...]] = (
    ("insert", 1 << 3), ("update", 1 << 2), ("delete", 1 << 4),
)  # fmt: skip


class Origin(NamedTuple):
    """Where the rows were read: which database, by which search path, in what state."""

    database: Database
    search_path: tuple[str, ...]
    fingerprint: str


class Reading(NamedTuple):
    """All that one look at a database brought."""

    origin: Origin
    rows: Rows


class _Named(NamedTuple):
    """A table's name, and its columns' names by number."""

    schema: str
    name: str
    columns: Mapping[int, str]


def assemble(reading: Reading, version: int) -> Schema:
    """The schema that was read, in an order that does not hang on the server's collation.

    Raises:
        DbifyError: SCHEMA_TOO_LARGE.
    """
    origin, rows = reading
    types = Types(rows.types)
    named = {
        row.oid: _Named(row.schema, row.name, {column.number: column.name for column in rows.columns.get(row.oid, ())})
        for row in rows.relations
    }
    room = Room()
    tables = [_table(row, rows, types, named, room) for row in rows.relations]
    schemas = sorted(rows.schemas)
    return Schema(
        format=FORMAT,
        version=version,
        database=origin.database,
        search_path=origin.search_path,
        schemas=tuple(name for name, _ in schemas),
        tables=tuple(sorted(tables, key=lambda table: (table.schema, table.name))),
        enums=tuple(sorted(map(_enum, rows.enums), key=lambda enum: (enum.schema, enum.name))),
        functions=tuple(
            sorted((_function(row, types) for row in rows.functions), key=lambda it: (it.schema, it.name, it.oid))
        ),
        fingerprint=origin.fingerprint,
        schema_oids=tuple(oid for _, oid in schemas),
    )


def _table(row: RelationRow, rows: Rows, types: Types, named: Mapping[int, _Named], room: Room) -> Table:
    names = named[row.oid].columns
    constraints = rows.constraints.get(row.oid, ())
    indexes = rows.indexes.get(row.oid, ())
    return Table(
        oid=row.oid,
        schema=row.schema,
        name=row.name,
        kind=_KINDS[row.kind],
        columns=tuple(room.take(_column(column, types)) for column in rows.columns.get(row.oid, ())),
        primary_key=_primary_key(constraints, names),
        uniques=_uniques(indexes, names),
        foreign_keys=tuple(map(room.take, _foreign_keys(constraints, names, named))),
        checks=tuple(Check(it.name, it.expression or "") for it in constraints if it.kind == "c"),
        indexes=tuple(
            Index(it.name, tuple(names.get(number) for number in it.columns), it.unique, it.definition)
            for it in indexes
        ),
        writable=tuple(operation for operation, bit in _WRITES if row.updatable & bit),
        row_security=row.row_security,
        estimated_rows=row.estimated_rows,
        definition=row.definition,
        comment=row.comment,
    )


def _column(row: ColumnRow, types: Types) -> Column:
    resolved = types.resolve(row.type, row.sql)
    return Column(
        number=row.number,
        name=row.name,
        type=row.sql,
        kind=resolved.kind,
        base=resolved.base,
        nullable=row.nullable and not resolved.not_null,
        element=resolved.element,
        element_kind=resolved.element_kind,
        enum=resolved.enum,
        default=resolved.default if row.default is None else row.default,
        identity=_IDENTITIES.get(row.identity, ""),
        generated=row.generated,
        comment=row.comment,
    )


def _names(numbers: Sequence[int] | None, names: Mapping[int, str]) -> tuple[str, ...]:
    """The columns' names in key order; none at all where one of them may not be seen."""
    found = tuple(names[number] for number in numbers or () if number in names)
    return found if len(found) == len(numbers or ()) else ()


def _primary_key(constraints: Sequence[ConstraintRow], names: Mapping[int, str]) -> tuple[str, ...]:
    return next((_names(it.columns, names) for it in constraints if it.kind == "p"), ())


def _uniques(indexes: Sequence[IndexRow], names: Mapping[int, str]) -> tuple[Unique, ...]:
    keys = ((it.name, _names(it.columns, names)) for it in indexes if it.arbiter)
    return tuple(Unique(name, columns) for name, columns in keys if columns)


def _foreign_keys(
    constraints: Sequence[ConstraintRow], names: Mapping[int, str], named: Mapping[int, _Named]
) -> Iterator[ForeignKey]:
    """Those whose both ends can be seen: one to a table outside the snapshot could not be followed."""
    for it in constraints:
        target = named.get(it.target) if it.kind == "f" else None
        if target is None:
            continue
        columns, target_columns = _names(it.columns, names), _names(it.target_columns, target.columns)
        if columns and target_columns:
            actions = _ACTIONS.get(it.on_update, ""), _ACTIONS.get(it.on_delete, "")
            yield ForeignKey(it.name, columns, target.schema, target.name, target_columns, *actions)


def _enum(row: EnumRow) -> Enum:
    return Enum(row.oid, row.schema, row.name, row.labels or ())


def _function(row: FunctionRow, types: Types) -> Function:
    arguments = row.arguments or ()
    required = len(arguments) - row.optional
    return Function(
        oid=row.oid,
        schema=row.schema,
        name=row.name,
        arguments=tuple(
            Argument(it.name, it.sql, types.resolve(it.type, it.sql).kind, position >= required)
            for position, it in enumerate(arguments)
        ),
        returns=row.returns,
        returns_set=row.returns_set,
        volatility=_VOLATILITIES[row.volatility],
        procedure=row.procedure,
        comment=row.comment,
    )
