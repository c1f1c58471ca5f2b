"""Real servers for every test: started once a process, on free ports, so that several runs go side by side."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import redis.asyncio as redis

from stack import embedded, migrate
from tests.running import RunningStack

_NO_SKIPS = os.environ.get("DBIFY_NO_SKIPS") == "1"


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    """Not pytest's own temporary folder: no other user may pass through that, and Postgres runs as one under root."""
    home = Path(tempfile.mkdtemp(prefix="dbify-test-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
async def _cluster(server_home: Path) -> AsyncIterator[embedded.Postgres]:
    async with await embedded.Postgres.start(server_home, durable=False) as server:
        yield server


@pytest.fixture
async def cluster(_cluster: embedded.Postgres) -> embedded.Postgres:
    """The session's Postgres; one that a test stopped comes back for the next."""
    if not _cluster.running:
        await _cluster.restart()
    return _cluster


@pytest.fixture
async def database(cluster: embedded.Postgres) -> AsyncIterator[str]:
    """The URL of a fresh, empty database."""
    async for url in _copy_of("template0", cluster):
        yield url


@pytest.fixture(scope="session")
async def _platform_template(_cluster: embedded.Postgres) -> str:
    await _cluster.execute("CREATE DATABASE platform_template")
    await migrate.database(_cluster.url("platform_template"))
    return "platform_template"


@pytest.fixture
async def platform_database(cluster: embedded.Postgres, _platform_template: str) -> AsyncIterator[str]:
    """The URL of a fresh database with every service's migrations applied."""
    async for url in _copy_of(_platform_template, cluster):
        yield url


async def _copy_of(template: str, cluster: embedded.Postgres) -> AsyncIterator[str]:
    name = f"t_{secrets.token_hex(6)}"
    await cluster.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield cluster.url(name)
    if not cluster.running:
        await cluster.restart()
    await cluster.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[embedded.Nats]:
    """A NATS server of the test's own, with every service's user, the streams and the consumers."""
    async with await embedded.Nats.start(tmp_path) as server:
        await migrate.streams(server.url("admin"))
        yield server


@pytest.fixture(scope="session")
async def _valkey(server_home: Path) -> AsyncIterator[embedded.Valkey]:
    async with await embedded.Valkey.start(server_home) as server:
        yield server


@pytest.fixture
async def valkey(_valkey: embedded.Valkey) -> embedded.Valkey:
    """The session's Valkey, running and empty."""
    if not _valkey.running:
        await _valkey.restart()
    async with redis.from_url(_valkey.url()) as client:
        await client.flushall()
    return _valkey


@pytest.fixture
def free_port() -> int:
    """A port that nothing uses at the moment."""
    return embedded.free_port()


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """The whole of Dbify as real processes; `stack.demo` has the URL, the project, the key and the tokens."""
    folder = Path(tempfile.mkdtemp(prefix="dbify-stack-"))
    running = RunningStack(folder / ".dbify")
    try:
        yield running.up()
    finally:
        running.down()
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests that use the stack in one worker, so that one stack serves them all."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With DBIFY_NO_SKIPS=1 a skipped test is a failed one: what was not run was not shown to work."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _NO_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a file that skips itself as a whole."""
    report = yield
    if report.skipped and _NO_SKIPS:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped: {report.longrepr}"
    return report
