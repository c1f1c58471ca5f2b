import asyncio
from pathlib import Path

import asyncpg
import nats
import pytest
import redis.asyncio as redis

from libs.common.access import inbox
from libs.common.streams import CONSUMERS, STREAMS
from stack import embedded, migrate


async def test_a_fresh_database_has_no_tables(database: str) -> None:
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    await connection.close()


async def test_postgres_refuses_a_wrong_password(cluster: embedded.Postgres) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(cluster.url(password="wrong"))


async def test_a_killed_postgres_comes_back_with_what_it_held(cluster: embedded.Postgres, database: str) -> None:
    name = database.rsplit("/", 1)[1]
    await cluster.execute("CREATE TABLE kept (id int)", "CHECKPOINT", database=name)
    cluster.kill()
    await cluster.restart()
    await cluster.execute("SELECT id FROM kept", database=name)


async def test_the_older_major_runs_beside_the_newer(cluster: embedded.Postgres, server_home: Path) -> None:
    async with await embedded.Postgres.start(server_home, name="older", major=16, durable=False) as older:
        connection = await asyncpg.connect(older.url())
        assert connection.get_server_version().major == 16
        assert older.port != cluster.port
        await connection.close()


async def test_migrating_again_applies_nothing(platform_database: str) -> None:
    assert await migrate.database(platform_database) == []


async def test_each_service_keeps_its_migrations_in_its_own_schema(platform_database: str) -> None:
    connection = await asyncpg.connect(platform_database)
    found = {row[0] for row in await connection.fetch("SELECT DISTINCT schemaname FROM pg_tables")}
    await connection.close()
    assert found - {"pg_catalog", "information_schema"} == {
        owner for owner in migrate.OWNERS if any((migrate.SERVICES / owner / "migrations").glob("*.sql"))
    }


async def test_streams_are_applied_again_without_a_change(nats_server: embedded.Nats) -> None:
    await migrate.streams(nats_server.url("admin"))
    client = await nats.connect(nats_server.url("admin"))
    names = {info.config.name for info in await client.jetstream().streams_info()}
    assert names == {stream.name for stream in STREAMS}
    for consumer in CONSUMERS:
        assert await client.jetstream().consumer_info(consumer.stream, consumer.name)
    await client.close()


async def test_a_service_publishes_what_it_may_and_nothing_else(nats_server: embedded.Nats) -> None:
    client = await nats.connect(nats_server.url("gateway"), inbox_prefix=inbox("gateway").encode())
    acknowledged = await client.jetstream().publish("dbify.logs.one", b"x")
    assert acknowledged.stream == "LOGS"
    with pytest.raises(nats.errors.TimeoutError):
        await client.jetstream(timeout=0.2).delete_stream("LOGS")
    await client.close()


async def test_nats_refuses_a_wrong_password(nats_server: embedded.Nats) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", nats_server.port)
    assert (await reader.readline()).startswith(b"INFO")
    writer.write(b'CONNECT {"user": "gateway", "pass": "wrong", "verbose": false}\r\nPING\r\n')
    assert b"Authorization Violation" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_nats_keeps_messages_over_a_kill(nats_server: embedded.Nats) -> None:
    client = await nats.connect(nats_server.url("admin"))
    await client.jetstream().publish("dbify.logs.one", b"kept")
    await client.close()
    nats_server.kill()
    await nats_server.restart()
    client = await nats.connect(nats_server.url("admin"))
    assert (await client.jetstream().stream_info("LOGS")).state.messages == 1
    await client.close()


async def test_valkey_asks_for_its_password(valkey: embedded.Valkey) -> None:
    async with redis.from_url(valkey.url()) as client:
        assert await client.set("key", "value")
    reader, writer = await asyncio.open_connection("127.0.0.1", valkey.port)
    writer.write(b"GET key\r\n")
    assert (await reader.readline()).startswith(b"-NOAUTH")
    writer.close()
    await writer.wait_closed()


async def test_a_stopped_valkey_comes_back_on_its_port(valkey: embedded.Valkey) -> None:
    await valkey.stop()
    assert not valkey.running
    await valkey.restart()
    async with redis.from_url(valkey.url()) as client:
        assert await client.ping()
