import asyncpg
import pytest

from libs.common import postgres
from libs.common.errors import Code, DbifyError
from stack.embedded import Postgres


async def test_a_pool_works_in_its_schema_alone(database: str) -> None:
    async with postgres.platform(database, "notifier") as pool:
        assert await pool.fetchval("SHOW search_path") == "notifier"
        assert await pool.fetchval("SHOW application_name") == "dbify-notifier"


async def test_a_database_that_is_down_at_the_start_is_a_coded_error_and_comes_back(
    cluster: Postgres, database: str
) -> None:
    await cluster.stop()
    async with postgres.platform(database, "gateway") as pool:
        with pytest.raises(DbifyError) as caught, postgres.guarded():
            await pool.fetchval("SELECT 1")
        assert caught.value.code is Code.PLATFORM_UNAVAILABLE
        assert "127.0.0.1" not in caught.value.message
        await cluster.restart()
        with postgres.guarded():
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_connection_that_is_cut_is_a_coded_error_and_the_next_one_works(
    database: str,
) -> None:
    async with postgres.platform(database, "gateway", max_size=1) as pool:
        with pytest.raises(DbifyError) as caught, postgres.guarded():
            await pool.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
        assert caught.value.code is Code.PLATFORM_UNAVAILABLE
        with postgres.guarded():
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_wrong_password_is_unavailable_without_saying_why_to_the_caller(
    cluster: Postgres,
) -> None:
    async with postgres.platform(cluster.url("postgres", password="hunter2"), "gateway") as pool:
        with pytest.raises(DbifyError) as caught, postgres.guarded():
            await pool.fetchval("SELECT 1")
        assert caught.value.code is Code.PLATFORM_UNAVAILABLE
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("statement", ["SELECT nothing", "SELECT 1/0"])
async def test_a_defect_of_ours_stays_what_it_is(database: str, statement: str) -> None:
    async with postgres.platform(database, "gateway") as pool:
        with pytest.raises(asyncpg.PostgresError), postgres.guarded():
            await pool.fetchval(statement)


async def test_misuse_of_a_connection_stays_what_it_is(database: str) -> None:
    async with postgres.platform(database, "gateway") as pool, pool.acquire() as connection:
        transaction = connection.transaction()
        with pytest.raises(asyncpg.InterfaceError), postgres.guarded():
            await transaction.commit()
