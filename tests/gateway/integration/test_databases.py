"""Plans on held connections to real databases, and what becomes of them when the server misbehaves."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import pytest

from libs.common.dsn import parse
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from services.gateway.adapters import connections as holding
from services.gateway.adapters.databases import Databases, databases
from services.gateway.adapters.leases import WITHOUT_REDIS, Leases
from services.gateway.adapters.redis import Shared, shared
from services.gateway.core.plan import MAX_RESULT_BYTES, TOO_LARGE_SQLSTATE, Plan
from services.gateway.handlers.targets import Target
from stack.embedded import Postgres, Valkey
from tests.common.strange_servers import AUTHENTICATED, READY, endless, failure, front, message, serving, startup
from tests.common.waiting import until

SHOP = ProjectId(7)
NOBODY = "redis://127.0.0.1:1/0"


@dataclass
class Projects:
    """Where each project's database is, as the tests say."""

    known: dict[ProjectId, Target] = field(default_factory=dict)

    async def target(self, project: ProjectId) -> Target:
        if project not in self.known:
            raise DbifyError(Code.PROJECT_NOT_FOUND, "none")
        return self.known[project]


def target(url: str, *, version: int = 1, connections: int = 5, timeout_ms: int = 5_000) -> Target:
    return Target(parse(url), ("127.0.0.1",), version, connections, timeout_ms)


def plan(sql: str, *arguments: str | None, write: bool = False) -> Plan:
    return statement(f"SELECT {sql}, NULL::bigint, 1::bigint, 0", *arguments, write=write)


def statement(sql: str, *arguments: str | None, write: bool = False) -> Plan:
    return Plan(sql=sql, arguments=arguments, write=write, table="public.t", columns=())


def insert(value: str) -> Plan:
    sql = "WITH x AS (INSERT INTO t VALUES ($1) RETURNING *) SELECT '', NULL::bigint, count(*), 0 FROM x"
    return statement(sql, value, write=True)


PING = plan("$1::text", "pong")
PID = plan("pg_backend_pid()::text")
SLOW = plan("pg_sleep(30)::text")


@dataclass
class Gateway:
    """One process's databases, and a look at the server from outside."""

    databases: Databases
    projects: Projects
    outside: asyncpg.Connection

    async def run(self, plan: Plan) -> str:
        return (await self.databases.run(SHOP, plan)).data.decode()

    async def code(self, plan: Plan) -> Code:
        with pytest.raises(DbifyError) as raised:
            await self.databases.run(SHOP, plan)
        return raised.value.code

    async def backends(self) -> dict[int, str]:
        rows = await self.outside.fetch(
            "SELECT pid, state FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dbify'"
        )
        return {row["pid"]: row["state"] for row in rows}


@asynccontextmanager
async def process(url: str, redis: Shared, where: Target | None = None, idle_s: float = 60) -> AsyncIterator[Gateway]:
    projects = Projects({SHOP: where or target(url)})
    async with databases(projects, redis, idle_s=idle_s) as held:
        outside = await asyncpg.connect(url)
        try:
            yield Gateway(held, projects, outside)
        finally:
            outside.terminate()


@pytest.fixture
async def redis(valkey: Valkey) -> AsyncIterator[Shared]:
    async with shared(valkey.url()) as connection:
        yield connection


@pytest.fixture
async def gateway(database: str, redis: Shared) -> AsyncIterator[Gateway]:
    async with process(database, redis) as running:
        await running.outside.execute("CREATE TABLE t (v text)")
        yield running


async def test_a_plan_gives_its_data_and_how_long_the_database_took(gateway: Gateway) -> None:
    result = await gateway.databases.run(SHOP, PING)
    assert (result.data, result.count, result.rows) == (b"pong", None, 1)
    assert 0 < result.database_us < 5_000_000


async def test_one_caller_after_another_uses_one_connection_and_one_statement(gateway: Gateway) -> None:
    pids = {await gateway.run(PID) for _ in range(20)}
    assert len(pids) == 1
    prepared = await gateway.run(
        plan("(SELECT count(*)::text FROM pg_prepared_statements WHERE statement ~ 'pg_backend_pid')")
    )
    assert prepared == "2"  # the statement in question, and the one that asks


async def test_statements_are_forgotten_from_a_number_on(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.adapters.held.MAX_STATEMENTS", 3)
    for number in range(10):
        assert await gateway.run(plan(f"'{number}'")) == str(number)
    assert int(await gateway.run(plan("(SELECT count(*)::text FROM pg_prepared_statements)"))) <= 4


async def test_a_project_opens_no_more_than_its_budget(database: str, redis: Shared) -> None:
    async with process(database, redis, target(database, connections=3)) as gateway:
        pids = Counter(
            await asyncio.gather(*(gateway.run(plan("(pg_sleep(0.01), pg_backend_pid())::text")) for _ in range(30)))
        )
        assert len(pids) == 3
        assert len(await gateway.backends()) == 3


async def test_the_fleet_shares_the_budget_and_every_process_has_one(database: str, redis: Shared) -> None:
    async with AsyncExitStack() as stack:
        fleet = [
            await stack.enter_async_context(process(database, redis, target(database, connections=4))) for _ in range(3)
        ]
        for gateway in fleet:
            slow = [gateway.run(plan("(pg_sleep(0.05), pg_backend_pid())::text")) for _ in range(8)]
            await asyncio.gather(*slow)
        assert len(await fleet[0].backends()) == 4 + 1 + 1


async def test_a_process_that_ends_gives_its_share_back(database: str, redis: Shared) -> None:
    for _ in range(3):
        async with process(database, redis, target(database, connections=2)) as gateway:
            await asyncio.gather(*(gateway.run(plan("pg_sleep(0.05)::text")) for _ in range(4)))
            assert len(await gateway.backends()) == 2
        assert await redis.call(lambda r: r.zcard(f"dbify:connections:{SHOP}")) == 0


async def test_without_redis_a_process_goes_on_with_a_few(database: str) -> None:
    async with shared(NOBODY) as nobody, process(database, nobody) as gateway:
        await asyncio.gather(*(gateway.run(plan("pg_sleep(0.02)::text")) for _ in range(10)))
        assert len(await gateway.backends()) == WITHOUT_REDIS


async def test_what_is_held_stays_while_redis_is_away(database: str, valkey: Valkey) -> None:
    async with shared(valkey.url()) as redis, process(database, redis) as gateway:
        await asyncio.gather(*(gateway.run(plan("pg_sleep(0.05)::text")) for _ in range(5)))
        held = await gateway.backends()
        await valkey.stop()
        assert await gateway.run(PING) == "pong"
        pids = await asyncio.gather(*(gateway.run(plan("(pg_sleep(0.05), pg_backend_pid())::text")) for _ in range(5)))
        assert len(set(pids)) == len(held) == 5


async def test_leases_outlive_a_redis_that_lost_its_data(redis: Shared) -> None:
    leases, other = Leases(redis), Leases(redis)
    assert await leases.take(SHOP, 1)
    await redis.call(lambda r: r.flushall())
    await leases.renew()
    assert await other.take(SHOP, 1)  # its one
    assert await other.take(SHOP, 1) is None


async def test_idle_connections_are_closed_and_opened_again(database: str, redis: Shared) -> None:
    async with process(database, redis, idle_s=0.2) as gateway:
        first = await gateway.run(PID)
        await until(lambda: nobody_left(gateway))
        assert await gateway.run(PID) != first


async def nobody_left(gateway: Gateway) -> bool:
    return not await gateway.backends()


async def test_another_url_closes_the_connections_to_the_old_one(
    database: str, platform_database: str, gateway: Gateway
) -> None:
    await gateway.run(PING)
    slow = asyncio.create_task(gateway.run(plan("pg_sleep(0.3)::text")))
    await until(lambda: busy(gateway))
    gateway.projects.known[SHOP] = target(platform_database, version=2)
    assert await gateway.run(plan("current_database()::text")) == platform_database.rsplit("/", 1)[1]
    await slow
    await until(lambda: nobody_left(gateway))
    assert database != platform_database


async def busy(gateway: Gateway) -> bool:
    return "active" in (await gateway.backends()).values()


async def test_a_project_that_is_gone_holds_no_connections(gateway: Gateway) -> None:
    await gateway.run(PING)
    del gateway.projects.known[SHOP]
    assert await gateway.code(PING) is Code.PROJECT_NOT_FOUND
    await until(lambda: nobody_left(gateway))


async def test_a_refusal_leaves_the_connection_as_it_was(gateway: Gateway) -> None:
    pid = await gateway.run(PID)
    assert await gateway.code(plan("('x' || $1)::int::text", "y")) is Code.INVALID_VALUE
    assert await gateway.run(PID) == pid


async def test_text_that_postgres_cannot_take_is_an_invalid_value(gateway: Gateway) -> None:
    for text in ("a\0b", "\ud800"):
        assert await gateway.code(plan("$1::text", text)) is Code.INVALID_VALUE
    assert await gateway.run(PING) == "pong"


async def test_what_is_too_large_is_said_so(gateway: Gateway) -> None:
    assert await gateway.code(plan("NULL::text")) is Code.RESULT_TOO_LARGE
    write = plan("width_bucket(1, 1, 2, 0)::text", write=True)
    assert await gateway.code(write) is Code.RESULT_TOO_LARGE
    assert TOO_LARGE_SQLSTATE == "2201G"
    assert await gateway.code(plan(f"repeat('x', {2 * MAX_RESULT_BYTES})")) is Code.DATABASE_UNAVAILABLE
    assert await gateway.run(PING) == "pong"


async def test_the_server_ends_a_statement_that_runs_too_long(database: str, redis: Shared) -> None:
    async with process(database, redis, target(database, timeout_ms=100)) as gateway:
        pid = await gateway.run(PID)
        began = time.monotonic()
        assert await gateway.code(SLOW) is Code.QUERY_TIMEOUT
        assert time.monotonic() - began < 1
        assert await gateway.run(PID) == pid


async def test_a_server_that_does_not_end_it_is_cancelled_from_here(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = await gateway.run(PID)
    await gateway.run(plan("set_config('statement_timeout', '0', false)"))
    monkeypatch.setattr("services.gateway.adapters.databases.GRACE_S", -4.9)
    assert await gateway.code(SLOW) is Code.QUERY_TIMEOUT
    await until(lambda: idle(gateway))
    assert await gateway.run(PID) == pid


async def idle(gateway: Gateway) -> bool:
    return set((await gateway.backends()).values()) == {"idle"}


async def test_a_caller_who_leaves_ends_the_statement_and_spoils_nothing(gateway: Gateway) -> None:
    pid = await gateway.run(PID)
    task = asyncio.create_task(gateway.run(SLOW))
    await until(lambda: busy(gateway))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: idle(gateway))
    assert await gateway.run(PID) == pid


async def test_callers_who_come_and_go_lose_no_connection(gateway: Gateway) -> None:
    async def hasty(number: int) -> str:
        async with asyncio.timeout(0.001 * (number % 7)):
            return await gateway.run(plan("$1::text || pg_sleep(0.003)::text", str(number)))

    answers = await asyncio.gather(*(hasty(number) for number in range(200)), return_exceptions=True)
    assert {type(answer) for answer in answers} <= {str, TimeoutError}
    assert all(answer == str(number) for number, answer in enumerate(answers) if isinstance(answer, str))
    results = await asyncio.gather(*(gateway.run(plan("$1::text", str(number))) for number in range(50)))
    assert results == [str(number) for number in range(50)]
    assert len(await gateway.backends()) <= 5


async def test_waiting_for_a_connection_has_its_bounds(
    database: str, redis: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "WAIT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(holding, "MAX_WAITING", 2)
    async with process(database, redis, target(database, connections=1)) as gateway:
        await gateway.run(PING)
        slow = asyncio.create_task(gateway.run(SLOW))
        await until(lambda: busy(gateway))
        codes = await asyncio.gather(*(gateway.code(PING) for _ in range(4)))
        assert set(codes) == {Code.DATABASE_BUSY}
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        await until(lambda: idle(gateway))
        assert await gateway.run(PING) == "pong"


async def test_a_backend_that_is_killed_while_idle_is_not_noticed(gateway: Gateway) -> None:
    pid = int(await gateway.run(PID))
    await gateway.outside.execute(f"SELECT pg_terminate_backend({pid})")
    assert await gateway.run(PING) == "pong"


async def test_a_backend_that_is_killed_at_work_fails_a_write_and_not_a_read(gateway: Gateway) -> None:
    async def kill() -> None:
        await until(lambda: busy(gateway))
        for pid, state in (await gateway.backends()).items():
            if state == "active":
                await gateway.outside.execute(f"SELECT pg_terminate_backend({pid})")

    read, _ = await asyncio.gather(gateway.run(plan("pg_sleep(0.5)::text")), kill())
    assert read == ""
    write = plan("pg_sleep(0.5)::text", write=True)
    code, _ = await asyncio.gather(gateway.code(write), kill())
    assert code is Code.DATABASE_UNAVAILABLE
    assert await gateway.run(PING) == "pong"


async def test_a_server_that_stops_is_not_waited_for_and_is_found_again(
    cluster: Postgres, database: str, redis: Shared
) -> None:
    async with process(database, redis) as gateway:
        await gateway.run(PING)
        await cluster.stop()
        began = time.monotonic()
        codes = [await gateway.code(PING) for _ in range(50)]
        assert set(codes) == {Code.DATABASE_UNAVAILABLE}
        assert time.monotonic() - began < 3
        await cluster.restart()
        await until(lambda: answers(gateway))


async def answers(gateway: Gateway) -> bool:
    try:
        return await gateway.run(PING) == "pong"
    except DbifyError as error:
        if error.code is Code.DATABASE_UNAVAILABLE:
            return False
        raise


async def test_a_server_that_refuses_more_connections_is_served_by_those_it_gave(
    cluster: Postgres, database: str, redis: Shared
) -> None:
    name = database.rsplit("/", 1)[1]
    role = f"few_{name}"
    await cluster.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'word' CONNECTION LIMIT 2")
    url = cluster.url(name, user=role, password="word")
    try:
        async with process(database, redis, target(url)) as gateway:
            await gateway.run(PING)
            await asyncio.gather(*(gateway.run(plan("pg_sleep(0.02)::text")) for _ in range(20)))
            assert len(await gateway.backends()) == 2
    finally:
        await cluster.execute(f"DROP ROLE {role}")


async def test_a_changed_table_is_planned_anew(gateway: Gateway) -> None:
    read = statement("SELECT v, NULL::bigint, 1::bigint, 0 FROM t")
    await gateway.run(insert("old"))
    assert await gateway.run(read) == "old"
    await gateway.outside.execute("ALTER TABLE t ALTER COLUMN v TYPE varchar(10)")
    assert await gateway.run(read) == "old"
    await gateway.outside.execute("ALTER TABLE t RENAME COLUMN v TO w")
    assert await gateway.code(read) is Code.SCHEMA_CHANGED


def takes_no_settings(body: bytes) -> bytes | None:
    return failure("08P01", "unsupported startup parameter") if b"statement_timeout" in body else None


async def test_through_a_pooler_each_statement_is_a_transaction_with_its_timeout(
    cluster: Postgres, database: str, redis: Shared
) -> None:
    real = parse(database)
    async with serving(front(cluster.port, refuse=takes_no_settings)) as port:
        url = f"postgresql://{real.user}:{real.password}@127.0.0.1:{port}/{real.database}"
        async with process(database, redis, target(url, timeout_ms=200)) as gateway:
            await gateway.outside.execute("CREATE TABLE t (v text)")
            assert await gateway.run(plan("current_setting('statement_timeout')")) == "200ms"
            assert await gateway.run(plan("current_setting('IntervalStyle')")) == "postgres"
            assert await gateway.code(SLOW) is Code.QUERY_TIMEOUT
            await gateway.run(insert("a"))
            assert await gateway.code(plan("('x' || $1)::int::text", "y")) is Code.INVALID_VALUE
            assert await gateway.run(plan("(SELECT count(*)::text FROM t)")) == "1"
            assert (
                await gateway.run(plan("(SELECT count(*)::text FROM pg_prepared_statements WHERE name <> '')")) == "0"
            )


async def test_a_pooler_that_hides_is_found_out_by_a_lost_statement(gateway: Gateway) -> None:
    lost = plan("'kept'", write=True)
    assert await gateway.run(lost) == "kept"
    held = gateway.databases._projects[SHOP].take()
    assert held is not None
    await held.connection.execute("DEALLOCATE ALL")
    gateway.databases._projects[SHOP].release(held)
    assert await gateway.run(lost) == "kept"
    assert gateway.databases._projects[SHOP].pooled


@pytest.mark.parametrize(
    "flood", [message(b"N", "SNOTICE", "C00000", "Mx" * 500, end=b"\0"), b"D\0\0\0\x06\0\0" * 1000]
)
async def test_a_server_that_never_stops_answering_is_dropped(flood: bytes, database: str, redis: Shared) -> None:
    version = message(b"S", "server_version", "18.0")
    behave = endless(flood, first=AUTHENTICATED + version + READY)
    async with serving(behave) as port:
        url = f"postgresql://u:p@127.0.0.1:{port}/x"
        async with process(database, redis, target(url, timeout_ms=3_000)) as gateway:
            assert await gateway.code(PING) in {Code.DATABASE_UNAVAILABLE, Code.QUERY_TIMEOUT}


async def test_a_server_that_falls_silent_after_the_login_costs_no_more_than_the_timeout(
    database: str, redis: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.adapters.databases.GRACE_S", 0.1)
    monkeypatch.setattr(holding, "SETTLE_TIMEOUT_S", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await startup(reader, writer)
        writer.write(AUTHENTICATED + message(b"S", "server_version", "18.0") + READY)
        await reader.read()
        await asyncio.Event().wait()

    async with serving(silent) as port:
        url = f"postgresql://u:p@127.0.0.1:{port}/x"
        async with process(database, redis, target(url, timeout_ms=100)) as gateway:
            began = time.monotonic()
            assert await gateway.code(PING) is Code.QUERY_TIMEOUT
            assert time.monotonic() - began < 1
            await until(lambda: gateway.databases._projects[SHOP]._live == 0)
