"""What a look reads, against real servers of three majors."""

import asyncio
import secrets

import asyncpg
import pytest

from libs.common.addresses import Guard
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.schema import Check, ForeignKey, Schema, Unique, pack, unpack
from libs.common.sealing import Keyring
from services.introspector.adapters.catalog import Catalogs
from services.introspector.adapters.catalog_sql import PULSE
from stack import embedded
from tests.introspector.conftest import Read
from tests.introspector.scene import MASTER_KEY, PROJECT, execute, look_at, seal, table, with_role

KINDS = {
    "a_bool": ("boolean", "boolean"), "a_int2": ("smallint", "integer"), "a_int4": ("integer", "integer"),
    "a_int8": ("bigint", "integer"), "a_oid": ("oid", "integer"), "a_numeric": ("numeric", "number"),
    "a_numeric_10_2": ("numeric(10,2)", "number"), "a_float4": ("real", "number"),
    "a_float8": ("double precision", "number"), "a_money": ("money", "other"), "a_text": ("text", "text"),
    "a_varchar": ("character varying(7)", "text"), "a_char": ("character(3)", "text"), "a_bpchar": ("bpchar", "text"),
    "a_quoted_char": ('"char"', "text"), "a_name": ("name", "text"), "a_json": ("json", "json"),
    "a_jsonb": ("jsonb", "json"), "a_uuid": ("uuid", "uuid"), "a_bytea": ("bytea", "bytes"), "a_date": ("date", "date"),
    "a_time": ("time(3) without time zone", "time"), "a_timetz": ("time with time zone", "time"),
    "a_timestamp": ("timestamp without time zone", "timestamp"),
    "a_timestamptz": ("timestamp(6) with time zone", "timestamp"),
    "a_interval": ("interval day to second(2)", "interval"), "a_mood": ("app.mood", "enum"),
    "a_point": ("point", "other"), "a_int2vector": ("int2vector", "other"), "a_bit": ("bit(4)", "other"),
    "a_int4range": ("int4range", "range"), "a_span": ("app.span", "range"), "a_size": ("app.size", "composite"),
    "a_tsvector": ("tsvector", "tsvector"), "a_tsquery": ("tsquery", "other"), "a_inet": ("inet", "network"),
    "a_cidr": ("cidr", "network"), "a_macaddr": ("macaddr", "network"), "a_ints": ("integer[]", "array"),
    "a_matrix": ("numeric(5,1)[]", "array"), "a_moods": ("app.mood[]", "array"), "a_sizes": ("app.size[]", "array"),
    "a_price": ("app.price", "number"), "a_net_price": ("app.net_price", "number"), "a_tags": ("app.tags", "array"),
    "a_feeling": ("app.feeling", "enum"), "a_feelings": ("app.feeling[]", "array"),
}  # fmt: skip
MOODS = ("sad", "ok", 'very, "happy"')


def test_every_type_has_its_sql_and_kind(odd_schema: Schema) -> None:
    columns = table(odd_schema, "app.kinds").columns
    assert {column.name: (column.type, column.kind) for column in columns} == KINDS


def test_arrays_domains_and_enums_say_what_stands_beneath(odd_schema: Schema) -> None:
    columns = {column.name: column for column in table(odd_schema, "app.kinds").columns}
    assert (columns["a_matrix"].element, columns["a_matrix"].element_kind) == ("numeric(5,1)", "number")
    assert (columns["a_tags"].element, columns["a_tags"].element_kind) == ("character varying(20)", "text")
    assert columns["a_tags"].base == "character varying(20)[]"
    assert (columns["a_sizes"].element, columns["a_sizes"].element_kind) == ("app.size", "composite")
    assert (columns["a_feelings"].element, columns["a_feelings"].element_kind) == ("app.feeling", "enum")
    assert columns["a_net_price"].base == "numeric(12,2)"
    for name in ("a_mood", "a_moods", "a_feeling", "a_feelings"):
        assert columns[name].enum == MOODS
    assert not columns["a_net_price"].nullable
    assert columns["a_price"].nullable
    assert columns["a_net_price"].default == columns["a_price"].default == "1.50"


async def test_every_type_is_one_that_a_cast_takes(odd: str, odd_schema: Schema) -> None:
    connection = await asyncpg.connect(odd)
    for found in odd_schema.tables:
        for column in found.columns:
            for sql in (column.type, column.base, column.element):
                if sql and not (column.name == "a_net_price" and sql == column.type):
                    await connection.execute(f"SET search_path = ''; SELECT NULL::{sql}")
    await connection.close()


def test_columns_carry_identity_generation_defaults_and_comments(odd_schema: Schema) -> None:
    plain = table(odd_schema, "public.plain")
    columns = {column.name: column for column in plain.columns}
    assert list(columns) == ["id", "number", "legacy", "email", "area", "mood", "parent_id"]
    assert [column.number for column in plain.columns] == [1, 2, 3, 5, 7, 8, 9]
    assert (columns["id"].identity, columns["number"].identity, columns["email"].identity) == ("always", "default", "")
    assert columns["area"].generated
    assert columns["legacy"].default == "nextval('public.plain_legacy_seq'::regclass)"
    assert columns["mood"].default == "'ok'::app.mood"
    assert columns["email"].comment == "Where to write to"
    assert plain.comment == 'A table with "quotes" and an ünïcode remark'
    assert plain.row_security
    assert not columns["email"].nullable
    assert columns["parent_id"].nullable


def test_only_keys_that_on_conflict_can_name_are_uniques(odd_schema: Schema) -> None:
    plain = table(odd_schema, "public.plain")
    assert plain.primary_key == ("id",)
    assert plain.uniques == (
        Unique("plain_email_key", ("email",)),
        Unique("plain_number_mood", ("number", "mood")),
    )
    assert table(odd_schema, "app.stored_view").uniques == (Unique("stored_view_id", ("id",)),)


def test_indexes_and_checks_are_told_as_sql(odd_schema: Schema) -> None:
    plain = table(odd_schema, "public.plain")
    index = next(index for index in plain.indexes if index.name == "plain_lower_email")
    assert (index.columns, index.unique) == ((None, "number"), False)
    assert index.definition == (
        "CREATE INDEX plain_lower_email ON public.plain USING btree (lower((email)::text), number) INCLUDE (area)"
    )
    assert plain.checks == (Check("number_positive", "(number > 0)"),)


def test_foreign_keys_keep_the_order_of_their_columns(odd_schema: Schema) -> None:
    far = 'Odd "Schema".x', 'Tab.le "T"', ("key.two", "Key One")
    assert table(odd_schema, "app.reference").foreign_keys == (ForeignKey('composite "key"', ("two", "one"), *far),)
    odd = table(odd_schema, f"{far[0]}.{far[1]}")
    assert odd.primary_key == ("key.two", "Key One")
    assert [column.name for column in odd.columns] == ["Key One", "key.two", "Ключ 🗝", "select"]
    itself = ForeignKey("plain_parent_id_fkey", ("parent_id",), "public", "plain", ("id",))
    assert table(odd_schema, "public.plain").foreign_keys == (itself,)


def test_partitions_are_part_of_their_parent_and_children_stand_alone(odd_schema: Schema) -> None:
    names = {f"{found.schema}.{found.name}": found for found in odd_schema.tables}
    assert names["app.measured"].kind == "partitioned"
    assert not [name for name in names if name.startswith("app.measured_")]
    assert names["app.measured"].primary_key == ("at", "place")
    assert names["app.measured"].writable == ("insert", "update", "delete")
    assert [key.target_table for key in names["app.of_measured"].foreign_keys] == ["measured"]
    assert [column.name for column in names["app.descendant"].columns] == ["id", "name", "extra"]
    assert "app.ancestor" in names


def test_views_say_what_they_take(odd_schema: Schema) -> None:
    kinds = {name: table(odd_schema, f"app.{name}") for name in
             ("simple_view", "grouped_view", "triggered_view", "stored_view", "far", "keyless")}  # fmt: skip
    assert {name: (found.kind, found.writable) for name, found in kinds.items()} == {
        "simple_view": ("view", ("insert", "update", "delete")),
        "grouped_view": ("view", ()),
        "triggered_view": ("view", ("insert",)),
        "stored_view": ("materialized", ()),
        "far": ("foreign", ()),
        "keyless": ("table", ("insert", "update", "delete")),
    }
    assert "FROM public.plain" in kinds["simple_view"].definition
    assert "FROM public.plain" in kinds["stored_view"].definition


def test_tables_without_columns_or_keys_and_namesakes_are_there(odd_schema: Schema) -> None:
    assert table(odd_schema, "app.nothing").columns == ()
    assert table(odd_schema, "app.keyless").primary_key == ()
    assert table(odd_schema, "app.plain").oid != table(odd_schema, "public.plain").oid
    assert not [found for found in odd_schema.tables if found.name == "fleeting"]


def test_functions_are_told_with_their_arguments(odd_schema: Schema) -> None:
    functions = {f"{found.name}({len(found.arguments)})": found for found in odd_schema.functions}
    assert sorted(functions) == ["add(1)", "add(2)", "moods(2)", "work(1)"]
    add = functions["add(2)"]
    assert [(it.name, it.type, it.kind, it.optional) for it in add.arguments] == [
        ("a", "integer", "integer", False), ("b", "integer", "integer", True),
    ]  # fmt: skip
    assert (add.returns, add.volatility, add.comment) == ("integer", "immutable", "Adds")
    moods = functions["moods(2)"]
    assert [(it.name, it.type, it.kind) for it in moods.arguments] == [
        ("", "integer", "integer"), ("rest", "app.mood[]", "array"),
    ]  # fmt: skip
    assert (moods.returns, moods.returns_set) == ("SETOF app.mood", True)
    assert functions["work(1)"].procedure


def test_the_schema_says_which_database_and_path_it_was_read_from(odd_schema: Schema) -> None:
    assert odd_schema.search_path == ("public",)
    assert odd_schema.schemas == ('Odd "Schema".x', "app", "hidden", "public")
    assert odd_schema.database.name == "odd"
    assert odd_schema.database.system.isdecimal()
    assert [(enum.schema, enum.name, enum.labels) for enum in odd_schema.enums] == [("app", "mood", MOODS)]


def test_a_schema_is_the_same_after_its_journey(odd_schema: Schema) -> None:
    assert unpack(pack(odd_schema)) == odd_schema


async def test_a_bare_role_sees_what_it_holds_a_privilege_on(server: embedded.Postgres, odd: str, read: Read) -> None:
    password = secrets.token_hex(8)
    await server.execute(
        f"CREATE ROLE bare LOGIN PASSWORD '{password}'",
        "GRANT USAGE ON SCHEMA app TO bare",
        "GRANT SELECT ON app.keyless, app.simple_view TO bare",
        "GRANT SELECT (id, one) ON app.reference TO bare",
        "GRANT DELETE ON app.ancestor TO bare",
        "GRANT SELECT ON hidden.secret TO bare",
        "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC",
        "ALTER ROLE bare SET search_path = app, absent",
        database="odd",
    )
    schema = await read(with_role(odd, "bare", password))
    assert {found.name: [column.name for column in found.columns] for found in schema.tables} == {
        "ancestor": [],
        "keyless": ["value"],
        "reference": ["id", "one"],
        "simple_view": ["id", "email"],
    }
    assert table(schema, "app.reference").foreign_keys == ()
    assert table(schema, "app.reference").primary_key == ("id",)
    assert schema.search_path == ("app",)
    assert (schema.database.system, schema.database.timeline) == ("", 0)


async def test_extensions_give_types_but_no_tables_or_functions(odd: str, read: Read) -> None:
    connection = await asyncpg.connect(odd)
    available = {row[0] for row in await connection.fetch("SELECT name FROM pg_available_extensions")}
    wanted = {"citext": "text", "hstore": "other", "vector": "vector"}
    present = [name for name in wanted if name in available]
    others = [name for name in ("pg_stat_statements", "pg_trgm") if name in available]
    await connection.execute("CREATE SCHEMA IF NOT EXISTS extensions")
    for name in (*present, *others):
        await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {name} SCHEMA extensions")
    columns = ", ".join(f"a_{name} extensions.{name}" for name in present)
    await connection.execute(f"DROP TABLE IF EXISTS app.extended; CREATE TABLE app.extended ({columns})")
    await connection.close()
    schema = await read(odd)
    found = {column.name: (column.type, column.kind) for column in table(schema, "app.extended").columns}
    assert found == {f"a_{name}": (f"extensions.{name}", wanted[name]) for name in present}
    assert present
    assert "extensions" in schema.schemas
    assert "extensions" not in {it.schema for it in schema.tables} | {it.schema for it in schema.functions}


async def test_version_18s_virtual_columns_and_temporal_keys_are_understood(database: str, read: Read) -> None:
    await execute(
        database,
        """
        CREATE TABLE room (id int4range, at daterange, twice int GENERATED ALWAYS AS (lower(id) * 2) VIRTUAL,
                           PRIMARY KEY (id, at WITHOUT OVERLAPS));
        CREATE TABLE booking (room int4range, at daterange, FOREIGN KEY (room, PERIOD at) REFERENCES room);
    """,
    )
    schema = await read(database)
    assert table(schema, "public.room").columns[2].generated
    assert table(schema, "public.room").uniques == ()
    assert table(schema, "public.booking").foreign_keys == ()


async def test_a_known_fingerprint_saves_the_reading_until_something_changes(
    server: embedded.Postgres, catalogs: Catalogs
) -> None:
    name = f"prints_{secrets.token_hex(4)}"
    await server.execute(f"CREATE DATABASE {name}")
    url = server.url(name)
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE t (id int PRIMARY KEY, name text); INSERT INTO t VALUES (1, 'a')")

    async def fingerprint(known: str = "") -> str | None:
        reading = await look_at(catalogs, url, known)
        return None if reading is None else reading.origin.fingerprint

    before = await fingerprint()
    assert before is not None
    for harmless in ("INSERT INTO t VALUES (2, 'b')", "VACUUM ANALYZE t", "CREATE TEMPORARY TABLE u (id int)"):
        await connection.execute(harmless)
        assert await fingerprint(before) is None, harmless
    for change in (
        "ALTER TABLE t ADD COLUMN c int",
        "ALTER TABLE t ALTER COLUMN c SET DEFAULT 4",
        "ALTER TABLE t RENAME COLUMN c TO d",
        "ALTER TABLE t ADD CHECK (d > 1)",
        "CREATE INDEX ON t (d)",
        "COMMENT ON COLUMN t.d IS 'four'",
        "CREATE TYPE e AS ENUM ('a')",
        "ALTER TYPE e ADD VALUE 'b'",
        "CREATE VIEW v AS SELECT 1 AS one",
        "CREATE OR REPLACE VIEW v AS SELECT 2 AS one",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON t TO pg_monitor",
        "ALTER TABLE t RENAME TO t2",
        "CREATE SCHEMA s",
        "DROP VIEW v",
    ):
        await connection.execute(change)
        after = await fingerprint(before)
        assert after is not None, change
        before = after
    await connection.close()


async def test_a_database_with_too_many_tables_is_refused_in_words(
    database: str, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.introspector.core.limits.MAX_TABLES", 2)
    await execute(database, "CREATE TABLE a (); CREATE TABLE b (); CREATE TABLE c ()")
    with pytest.raises(DbifyError, match="too many tables") as refusal:
        await read(database)
    assert refusal.value.code is Code.SCHEMA_TOO_LARGE


async def test_a_catalog_in_another_encoding_is_read_and_one_in_none_is_refused(
    server: embedded.Postgres, read: Read
) -> None:
    for encoding in ("LATIN1", "SQL_ASCII"):
        await server.execute(
            f"CREATE DATABASE in_{encoding.lower()} ENCODING '{encoding}' TEMPLATE template0 "
            f"LOCALE_PROVIDER 'libc' LOCALE 'C'"
        )
    await execute(server.url("in_latin1"), 'CREATE TABLE "café" (id int)')
    assert (await read(server.url("in_latin1"))).tables[0].name == "café"
    await execute(
        server.url("in_sql_ascii"),
        "SET client_encoding = 'SQL_ASCII'; CREATE TABLE t (id int); COMMENT ON TABLE t IS E'caf\\xe9'",
    )
    with pytest.raises(DbifyError) as refusal:
        await read(server.url("in_sql_ascii"))
    assert refusal.value.code is Code.DATABASE_UNSUPPORTED


async def test_an_address_outside_the_allowed_networks_is_not_dialled(database: str) -> None:
    strict = Catalogs(Keyring.parse(MASTER_KEY), Guard.parse(""))
    with pytest.raises(DbifyError) as refusal:
        await look_at(strict, database)
    assert refusal.value.code is Code.ADDRESS_FORBIDDEN


async def test_a_url_sealed_for_another_project_does_not_open(database: str, catalogs: Catalogs) -> None:
    foreign = seal(database)
    with pytest.raises(DbifyError) as refusal:
        async with catalogs.open(ProjectId(8), foreign):
            pass
    assert refusal.value.code is Code.INTERNAL_ERROR


async def test_a_look_waits_for_no_uncommitted_ddl_longer_than_its_lock_timeout(database: str, read: Read) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE t (id int); CREATE VIEW v AS SELECT id FROM t")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(DbifyError) as refusal:
        await read(database)
    assert refusal.value.code is Code.QUERY_TIMEOUT
    await transaction.rollback()
    await connection.close()
    assert len((await read(database)).tables) == 2


async def test_looks_succeed_while_the_schema_is_being_changed(database: str, read: Read) -> None:
    stop = asyncio.Event()

    async def change() -> None:
        connection = await asyncpg.connect(database)
        while not stop.is_set():
            await connection.execute(
                "CREATE TABLE t (id int PRIMARY KEY, m numeric CHECK (m > 0)); CREATE INDEX ON t (m)"
            )
            await connection.execute("CREATE VIEW v AS SELECT id FROM t; CREATE TYPE e AS ENUM ('a')")
            await connection.execute("DROP VIEW v; DROP TABLE t; DROP TYPE e")
        await connection.close()

    changing = [asyncio.create_task(change())]
    try:
        for _ in range(60):
            schema = await read(database)
            assert {found.name for found in schema.tables} <= {"t", "v"}
    finally:
        stop.set()
        await asyncio.gather(*changing)


async def test_an_unchanged_schema_costs_one_statement(database: str, catalogs: Catalogs) -> None:
    await execute(database, "CREATE TABLE t (id int)")
    before = await look_at(catalogs, database)
    assert before is not None
    statements: list[str] = []
    async with catalogs.open(PROJECT, seal(database)) as catalog:
        catalog._connection.add_query_logger(lambda record: statements.append(record.query))
        assert await catalog.read(before.origin.fingerprint) is None
    assert statements == [PULSE]


async def test_functions_and_operators_of_users_take_no_part_in_a_look(database: str, catalogs: Catalogs) -> None:
    await execute(
        database,
        """
        CREATE FUNCTION hashint8(bigint) RETURNS int LANGUAGE sql AS 'SELECT 1 / 0';
        CREATE FUNCTION differ("char", "char") RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 = 1';
        CREATE OPERATOR <> (FUNCTION = differ, LEFTARG = "char", RIGHTARG = "char");
        CREATE FUNCTION same(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT 1 / 0 = 1';
        CREATE OPERATOR = (FUNCTION = same, LEFTARG = oid, RIGHTARG = oid);
        CREATE DOMAIN varchar AS int;
        CREATE DOMAIN text AS int;
    """,
    )
    name = database.rpartition("/")[2]
    await execute(database, f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
    before = await look_at(catalogs, database)
    assert before is not None
    assert before.origin.search_path == ("public", "pg_catalog")
    assert await look_at(catalogs, database, before.origin.fingerprint) is None
