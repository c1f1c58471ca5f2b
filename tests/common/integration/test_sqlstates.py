"""Each class of error as a real PostgreSQL raises it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from libs.common.dial import Connection, dial
from libs.common.dsn import parse
from libs.common.errors import Code, DbifyError
from libs.common.sqlstates import translate

_TABLES = """
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL, age int CHECK (age > 0));
CREATE TABLE book (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id int REFERENCES author (id),
    isbn varchar(5),
    price numeric(5, 2),
    shelf int4range,
    twice int GENERATED ALWAYS AS (2) STORED,
    UNIQUE (author_id, isbn),
    EXCLUDE USING gist (shelf WITH &&)
);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN sure AS text NOT NULL;
CREATE VIEW grown AS SELECT * FROM author WHERE age > 18 WITH CHECK OPTION;
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not today, %', NEW.name; END $$;
CREATE TABLE refusing (name text);
CREATE TRIGGER no BEFORE INSERT ON refusing FOR EACH ROW EXECUTE FUNCTION no();
CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELEKT'; END $$;
CREATE TABLE oddly (name text);
CREATE TRIGGER odd BEFORE INSERT ON oddly FOR EACH ROW EXECUTE FUNCTION odd();
CREATE FUNCTION own() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'pay first' USING ERRCODE = 'PT402'; END $$;
CREATE VIEW counts AS SELECT count(*) FROM author;
INSERT INTO author VALUES (1, 'secret-name', 20);
INSERT INTO book (author_id, isbn, shelf) VALUES (1, 'x', '[1,5)');
"""

_CASES: list[tuple[str, Code, dict[str, object]]] = [
    ("INSERT INTO author VALUES (1, 'b', 1)", Code.UNIQUE_VIOLATION,
     {"sqlstate": "23505", "table": "public.author", "constraint": "author_pkey", "columns": ["id"]}),
    ("INSERT INTO book (author_id, isbn) VALUES (1, 'x')", Code.UNIQUE_VIOLATION, {"columns": ["author_id", "isbn"]}),
    ("INSERT INTO book (author_id) VALUES (987654)", Code.FOREIGN_KEY_VIOLATION,
     {"table": "public.book", "constraint": "book_author_id_fkey", "columns": ["author_id"]}),
    ("DELETE FROM author", Code.FOREIGN_KEY_VIOLATION, {"columns": ["id"]}),
    ("INSERT INTO author VALUES (2, NULL, 1)", Code.NOT_NULL_VIOLATION, {"column": "name"}),
    ("SELECT NULL::sure", Code.NOT_NULL_VIOLATION, {"sqlstate": "23502"}),
    ("INSERT INTO author VALUES (2, 'b', -1)", Code.CHECK_VIOLATION, {"constraint": "author_age_check"}),
    ("INSERT INTO grown VALUES (2, 'b', 1)", Code.CHECK_VIOLATION, {"sqlstate": "44000"}),
    ("INSERT INTO book (shelf) VALUES ('[2,3)')", Code.EXCLUSION_VIOLATION, {"constraint": "book_shelf_excl"}),
    ("SELECT 'secret-value'::int", Code.INVALID_VALUE, {"sqlstate": "22P02", "type": "integer"}),
    ("SELECT 'secret-value'::mood", Code.INVALID_VALUE, {"type": "mood"}),
    ("SELECT '{secret-value'::json", Code.INVALID_VALUE, {"type": "json"}),
    ("SELECT '12 secret-value'::timestamptz", Code.INVALID_VALUE, {"sqlstate": "22007"}),
    ("SELECT '2021-13-41'::date", Code.INVALID_VALUE, {"sqlstate": "22008"}),
    ("INSERT INTO book (isbn) VALUES ('123456')", Code.INVALID_VALUE, {"sqlstate": "22001"}),
    ("INSERT INTO book (price) VALUES (1000)", Code.INVALID_VALUE, {"sqlstate": "22003"}),
    ("SELECT 1 / 0", Code.INVALID_VALUE, {"sqlstate": "22012"}),
    ("SELECT 'a' ~ '('", Code.INVALID_VALUE, {"sqlstate": "2201B"}),
    ("SELECT (SELECT generate_series(1, 2))", Code.INVALID_VALUE, {"sqlstate": "21000"}),
    ("INSERT INTO book (id) VALUES (1)", Code.COLUMN_NOT_WRITABLE, {"sqlstate": "428C9"}),
    ("INSERT INTO book (twice) VALUES (1)", Code.COLUMN_NOT_WRITABLE, {}),
    ("INSERT INTO counts VALUES (1)", Code.DATABASE_REJECTED, {"sqlstate": "55000"}),
    ("SELECT * FROM gone", Code.SCHEMA_CHANGED, {"sqlstate": "42P01"}),
    ("SELECT gone FROM author", Code.SCHEMA_CHANGED, {"sqlstate": "42703"}),
    ("SELECT * FROM gone.author", Code.SCHEMA_CHANGED, {}),
    ("SELECT NULL::gone", Code.SCHEMA_CHANGED, {"sqlstate": "42704"}),
    ("INSERT INTO author VALUES (2, 'b', 1) ON CONFLICT (age) DO NOTHING", Code.SCHEMA_CHANGED,
     {"sqlstate": "42P10"}),
    ("SELECT '{}'::json = '{}'::json", Code.OPERATOR_NOT_APPLICABLE, {"sqlstate": "42883"}),
    ("SELEKT", Code.INTERNAL_ERROR, {"sqlstate": "42601"}),
    ("INSERT INTO oddly VALUES ('a')", Code.DATABASE_REJECTED, {"sqlstate": "42601"}),
    ("INSERT INTO refusing VALUES ('you')", Code.DATABASE_REJECTED, {"sqlstate": "P0001"}),
    ("SELECT own()", Code.DATABASE_REJECTED, {"sqlstate": "PT402"}),
    ("SET ROLE pg_monitor; SELECT pg_read_file('/etc/hostname')", Code.DATABASE_PERMISSION_DENIED,
     {"sqlstate": "42501"}),
    ("BEGIN READ ONLY; INSERT INTO author VALUES (2, 'b', 1)", Code.DATABASE_READ_ONLY, {"sqlstate": "25006"}),
    ("SET statement_timeout = 20; SELECT pg_sleep(20)", Code.QUERY_TIMEOUT, {"sqlstate": "57014"}),
    ("EXECUTE gone", Code.DATABASE_UNAVAILABLE, {"sqlstate": "26000"}),
    ("SELECT lower('$..SECRET[')::jsonpath", Code.INVALID_VALUE, {"sqlstate": "42601"}),
    ("SELECT lower('SECRET SECRET')::tsquery", Code.INVALID_VALUE, {"sqlstate": "42601"}),
    ("SELECT lower('SECRET')::regclass", Code.INVALID_VALUE, {"sqlstate": "42P01"}),
    ("SELECT lower('SECRET')::regproc", Code.INVALID_VALUE, {"sqlstate": "42883"}),
    ("SELECT repeat('[', 1000000)::json", Code.TOO_COMPLEX, {"sqlstate": "54001"}),
    ("DROP ROLE postgres", Code.TRANSACTION_CONFLICT, {"sqlstate": "55006"}),
]  # fmt: skip


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    connection = await dial(parse(database), ("127.0.0.1",))
    await connection.execute(_TABLES)
    yield connection
    await connection.close()


async def failing(connection: Connection, sql: str) -> DbifyError:
    with pytest.raises(asyncpg.PostgresError) as raised:
        await connection.execute(sql)
    return translate(raised.value)


async def test_an_error_gets_its_code_and_names_but_no_values(connection: Connection) -> None:
    for sql, code, details in _CASES:
        error = await failing(connection, sql)
        await connection.execute("ROLLBACK; RESET ROLE; RESET ALL")
        assert (sql, error.code, {**error.details, **details}) == (sql, code, error.details)
        answered = f"{error.message} {error.details}"
        assert "secret" not in answered
        assert "987654" not in answered


async def test_a_user_hears_what_their_own_trigger_says(connection: Connection) -> None:
    error = await failing(connection, "INSERT INTO refusing VALUES ('you')")
    assert "not today, you" in error.message


async def test_the_message_names_the_columns(connection: Connection) -> None:
    error = await failing(connection, "INSERT INTO book (author_id, isbn) VALUES (1, 'x')")
    assert error.message == (
        'Another row already has this value of author_id, isbn (constraint "book_author_id_isbn_key").'
    )


async def test_transactions_in_each_others_way_may_be_tried_again(connection: Connection, database: str) -> None:
    other = await asyncpg.connect(database)
    for one in (connection, other):
        await one.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM author")
    await other.execute("UPDATE author SET age = 21; COMMIT")
    assert (await failing(connection, "UPDATE author SET age = 22")).code is Code.TRANSACTION_CONFLICT
    await connection.execute("ROLLBACK")
    await other.execute("BEGIN; UPDATE author SET age = 21")
    error = await failing(connection, "SET lock_timeout = 20; UPDATE author SET age = 22")
    assert (error.code, error.details["sqlstate"]) == (Code.TRANSACTION_CONFLICT, "55P03")
    await other.close()


async def test_the_last_words_of_a_server_that_hangs_up_are_heard(database: str) -> None:
    other = await asyncpg.connect(database)
    with pytest.raises(asyncpg.PostgresError) as raised:
        await other.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    error = translate(raised.value)
    assert (error.code, error.details.get("sqlstate")) == (Code.DATABASE_UNAVAILABLE, "57P01")
    other.terminate()


async def test_a_plan_that_outlived_its_table_is_a_changed_schema(
    connection: Connection,
) -> None:
    statement = await connection.prepare("SELECT * FROM author", name="authors")
    await connection.execute("ALTER TABLE author ADD COLUMN born date")
    with pytest.raises(asyncpg.InvalidCachedStatementError) as raised:
        await statement.fetch()
    assert translate(raised.value).code is Code.SCHEMA_CHANGED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError("10.0.0.1"), Code.DATABASE_UNAVAILABLE),
        (TimeoutError(), Code.QUERY_TIMEOUT),
        (asyncpg.InterfaceError("connection is closed"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.DataError("invalid input for query argument $1: 'secret'"), Code.INVALID_VALUE),
        (asyncpg.InternalClientError("x"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.ConnectionDoesNotExistError("x"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.TooManyConnectionsError("x"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.CannotConnectNowError("x"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.DiskFullError("x"), Code.DATABASE_UNAVAILABLE),
        (asyncpg.InvalidPasswordError("x"), Code.DATABASE_REFUSED_LOGIN),
        (asyncpg.InvalidCatalogNameError("x"), Code.DATABASE_REFUSED_LOGIN),
        (asyncpg.DeadlockDetectedError("x"), Code.TRANSACTION_CONFLICT),
        (asyncpg.DataCorruptedError("x"), Code.DATABASE_UNAVAILABLE),
        (UnicodeDecodeError("utf-8", b"secret", 0, 1, "x"), Code.DATABASE_REJECTED),
        (DbifyError(Code.DATABASE_BUSY, "x"), Code.DATABASE_BUSY),
        (ZeroDivisionError("secret"), Code.INTERNAL_ERROR),
    ],
    ids=lambda value: getattr(value, "name", type(value).__name__),
)
def test_what_cannot_be_provoked_here_is_translated_too(error: Exception, code: Code) -> None:
    assert translate(error).code is code
    assert "secret" not in translate(error).message


def test_no_error_of_the_server_counts_as_our_defect_but_a_statement_that_does_not_parse() -> None:
    ours = {
        error.sqlstate
        for error in vars(asyncpg.exceptions).values()
        if isinstance(error, type)
        and issubclass(error, asyncpg.PostgresError)
        and error.sqlstate
        and translate(error("x")).code.status in {500, 502}
    }
    # Without a position in the statement, 42601 and 42602 are about a value.
    assert ours == {"42701"}
