"""Tables for tests that need no database."""

from typing import Final

from libs.common.schema import FORMAT, Column, Database, Kind, Schema, Table, Unique
from services.gateway.core.catalog import Catalog, Relation

WRITABLE: Final = ("insert", "update", "delete")


def column(name: str, type_: str, kind: Kind, **more: object) -> Column:
    return Column(1, name, type_, kind, nullable=True, **more)  # type: ignore[arg-type]  # a test names what it needs


BOOK = Table(
    oid=1,
    schema="public",
    name="book",
    kind="table",
    columns=(
        column("id", "integer", "integer", identity="default"),
        column("title", "character varying(80)", "text"),
        column("isbn", "character(13)", "text"),
        column("price", "numeric(10,2)", "number"),
        column("sold", "bigint", "integer"),
        column("out", "boolean", "boolean"),
        column("genre", "public.genre", "enum", enum=("fact", "fiction")),
        column("tags", "text[]", "array", element="text", element_kind="text"),
        column("meta", "jsonb", "json"),
        column("raw", "json", "json"),
        column("published", "date", "date"),
        column("place", "point", "other"),
        column("flags", "bit(3)", "other"),
        column("size", "public.size", "composite"),
        column("short", "public.short", "text", base="character varying(3)"),
        column("total", "numeric", "number", generated=True),
        column("serial", "bigint", "integer", identity="always"),
        column('odd "name', "text", "text"),
    ),
    primary_key=("id",),
    uniques=(Unique("book_isbn_key", ("isbn",)),),
    writable=WRITABLE,
)
LOG = Table(2, "public", "log", "table", (column("line", "text", "text"), column("count", "integer", "integer")))
NOTHING = Table(3, "public", "nothing", "table", (), writable=WRITABLE)
TOTALS = Table(4, "public", "totals", "view", (column("n", "bigint", "integer"),))


def schema(*tables: Table, search_path: tuple[str, ...] = ("public",)) -> Schema:
    return Schema(FORMAT, 1, Database("", 0, 1, "test", 180000), search_path, ("public",), tables, (), ())


def catalog(*tables: Table, search_path: tuple[str, ...] = ("public",)) -> Catalog:
    return Catalog(schema(*tables, search_path=search_path))


def relation(table: Table) -> Relation:
    return catalog(table).resolve(f"{table.schema}.{table.name}")
