"""The snapshot of a database's schema: what the introspector reads and the gateway plans by.

A snapshot holds structure alone, never data. It travels as zstd-compressed MessagePack.
"""

from typing import Literal

import msgspec
import zstandard

FORMAT = 1
# A schema of 1,500 tables with 12 columns each is about 2 MB; this is 30 times as much.
MAX_BYTES = 64 * 1024 * 1024

Kind = Literal[
    "boolean", "integer", "number", "text", "json", "uuid", "bytes", "date", "time", "timestamp", "interval",
    "enum", "array", "range", "composite", "vector", "tsvector", "network", "other",
]  # fmt: skip
TableKind = Literal["table", "partitioned", "view", "materialized", "foreign"]


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column, as `pg_attribute` has it.

    Attributes:
        number: `attnum`: stays the same when the column is renamed.
        type: The type as SQL that a cast takes anywhere, schema-qualified where it is outside pg_catalog, with its
            modifier: `numeric(10,2)`, `app.mood[]`, `"Odd Type"`.
        kind: What sort of values it takes; a domain has its base type's.
        base: For a domain, the type beneath it as SQL, with the domain's modifier.
        element: For an array, the element's type as SQL.
        element_kind: For an array, the element's kind.
        enum: For an enum, or an array of one, the labels in order.
        default: The default's expression as SQL, or None.
        identity: How an identity column behaves.
        generated: Whether the database computes it.
    """

    number: int
    name: str
    type: str
    kind: Kind
    nullable: bool
    element: str = ""
    element_kind: Kind = "other"
    enum: tuple[str, ...] = ()
    default: str | None = None
    identity: Literal["", "always", "default"] = ""
    generated: bool = False
    comment: str = ""
    base: str = ""


Action = Literal["", "restrict", "cascade", "set null", "set default"]


class ForeignKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """`columns` of this table refer to `target_columns` of the table `target_schema.target_table`.

    `on_update` and `on_delete` say what becomes of the rows here; "" refuses, at the end of the statement.
    """

    name: str
    columns: tuple[str, ...]
    target_schema: str
    target_table: str
    target_columns: tuple[str, ...]
    on_update: Action = ""
    on_delete: Action = ""


class Unique(msgspec.Struct, frozen=True):
    """A unique constraint or whole-table unique index over plain columns: one that `ON CONFLICT` can name."""

    name: str
    columns: tuple[str, ...]


class Check(msgspec.Struct, frozen=True):
    """A check constraint with its expression as SQL."""

    name: str
    definition: str


class Index(msgspec.Struct, frozen=True):
    """An index with its whole definition as SQL; `columns` has None for an expression."""

    name: str
    columns: tuple[str | None, ...]
    unique: bool
    definition: str


class Table(msgspec.Struct, frozen=True, omit_defaults=True):
    """A table, view, materialised view, partitioned or foreign table; partitions are part of their parent.

    Attributes:
        oid: Stays the same when the table is renamed, within one database identity.
        writable: Which of "insert", "update", "delete" the relation itself takes (`pg_relation_is_updatable`).
        estimated_rows: `reltuples`, -1 where never analysed. Not part of what a diff compares.
        definition: A view's query as SQL.
    """

    oid: int
    schema: str
    name: str
    kind: TableKind
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    uniques: tuple[Unique, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    indexes: tuple[Index, ...] = ()
    writable: tuple[Literal["insert", "update", "delete"], ...] = ()
    row_security: bool = False
    estimated_rows: int = -1
    definition: str = ""
    comment: str = ""


class Enum(msgspec.Struct, frozen=True):
    """An enum type with its labels in their order."""

    oid: int
    schema: str
    name: str
    labels: tuple[str, ...]


class Argument(msgspec.Struct, frozen=True):
    """A function's input argument; `name` is empty where it has none."""

    name: str
    type: str
    kind: Kind
    optional: bool


class Function(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function or procedure of the user's own (extension members and trigger functions left out)."""

    oid: int
    schema: str
    name: str
    arguments: tuple[Argument, ...]
    returns: str
    returns_set: bool
    volatility: Literal["immutable", "stable", "volatile"]
    procedure: bool = False
    comment: str = ""


class Database(msgspec.Struct, frozen=True):
    """Which database this is: oids and transaction ids mean something only within one identity.

    Attributes:
        system: `pg_control_system().system_identifier`, or "" where the role may not read it.
        timeline: `pg_control_checkpoint().timeline_id`, or 0.
        oid: The database's oid.
        name: Its name.
        server_version: `server_version_num`, such as 180004.
    """

    system: str
    timeline: int
    oid: int
    name: str
    server_version: int


class Schema(msgspec.Struct, frozen=True):
    """A whole database's structure at one moment.

    Attributes:
        version: Rises by one with each change, per project, from 1.
        search_path: The schemas an unqualified name is looked up in first, as the connecting role has them.
        fingerprint: The introspector's cheap digest of the catalogs at that moment; opaque.
        schema_oids: The oids of `schemas`, in their order; empty in a snapshot from before they were read.
    """

    format: int
    version: int
    database: Database
    search_path: tuple[str, ...]
    schemas: tuple[str, ...]
    tables: tuple[Table, ...]
    enums: tuple[Enum, ...]
    functions: tuple[Function, ...]
    fingerprint: str = ""
    schema_oids: tuple[int, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Schema)


def pack(schema: Schema) -> bytes:
    """The snapshot as bytes for storage and transport.

    Raises:
        ValueError: If it is larger than `MAX_BYTES`, so that `unpack` would refuse it.
    """
    raw = _encoder.encode(schema)
    if len(raw) > MAX_BYTES:
        raise ValueError("a schema snapshot larger than may travel")
    return zstandard.ZstdCompressor(level=3).compress(raw)


def unpack(data: bytes) -> Schema:
    """The snapshot that `pack` made.

    Raises:
        ValueError: If the data is not such a snapshot, is of another format, or is larger than `MAX_BYTES`.
    """
    try:
        # The decompressor heeds its limit only where the frame does not say how large it is.
        if zstandard.frame_content_size(data) > MAX_BYTES:
            raise ValueError(f"a schema snapshot larger than {MAX_BYTES} bytes")
        raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_BYTES)
        schema = _decoder.decode(raw)
    except (zstandard.ZstdError, msgspec.MsgspecError) as error:
        raise ValueError("not a schema snapshot") from error
    if schema.format != FORMAT:
        raise ValueError(f"a schema snapshot of format {schema.format}, this version reads {FORMAT}")
    return schema
