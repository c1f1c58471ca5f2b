"""`make run` from the outside: what it leaves, keeps, reports and refuses."""

import json
import shutil
import signal
import socket
import stat
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from tests.running import RunningStack

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.slow]
FIELDS = {
    "url", "projectId", "apiKey", "keyId", "databaseUrl", "natsUrl", "dashboardUrl", "mailDir", "adminEmail",
    "adminPassword", "adminToken",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="dbify-run-"))
    yield home
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[RunningStack]:
    """One stack for these tests; whichever ends it starts it again."""
    stack = RunningStack(folder / ".dbify")
    try:
        yield stack.up()
    finally:
        stack.down()


def _ask(stack: RunningStack, table: str, payload: dict[str, object], operation: str = "read") -> dict[str, object]:
    body = {
        "projectId": stack.demo["projectId"],
        "apiKey": stack.demo["apiKey"],
        "operation": operation,
        "tableName": table,
        "payload": payload,
    }
    request = urllib.request.Request(
        f"{stack.demo['url']}/query", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        answer: dict[str, object] = json.load(response)
    return answer


def _gone(process: psutil.Process, limit_s: float = 20) -> bool:
    deadline = time.monotonic() + limit_s
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_demo_json_says_all_that_a_client_needs_and_is_private(running: RunningStack) -> None:
    assert set(running.demo) == FIELDS
    assert running.demo["url"] == f"http://127.0.0.1:{running.port}"
    assert isinstance(running.demo["projectId"], int)
    assert "@" not in running.demo["natsUrl"]
    for name in ("demo.json", "state.json"):
        assert stat.S_IMODE((running.home / name).stat().st_mode) == 0o600


def test_the_first_query_of_the_banner_answers_a_row(running: RunningStack) -> None:
    data = _ask(running, "Project", {"id": 3})["data"]
    assert isinstance(data, list)
    assert data[0]["id"] == 3


async def test_the_demo_has_a_hundred_projects_and_users_and_a_shop_of_ten_thousand_rows(running: RunningStack) -> None:
    connection = await asyncpg.connect(running.demo["databaseUrl"])
    counts = {
        table: await connection.fetchval(f"SELECT count(*) FROM {table}")
        for table in ("shop.customer", "shop.product", 'shop."order"', "shop.order_item", "shop.review")
    }
    assert sum(counts.values()) > 9_000
    assert await connection.fetchval("SELECT count(*) FROM \"User\" WHERE email = 'test'") == 1
    assert not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    await connection.close()


def test_status_prints_the_parts_and_the_banner_again(running: RunningStack) -> None:
    shown = running.command("status")
    assert shown.returncode == 0
    assert running.demo["apiKey"] in shown.stdout
    assert all(part in shown.stdout for part in running.parts())


def test_a_second_run_in_the_same_folder_is_refused(running: RunningStack) -> None:
    second = running.command("run")
    assert second.returncode == 1
    assert "runs already" in second.stderr


def test_a_taken_port_is_answered_with_the_name_of_the_variable(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = RunningStack(folder / "other", taken.getsockname()[1]).command("run")
    assert refused.returncode == 1
    assert "DBIFY_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_part_that_dies_is_reported_and_comes_back_when_asked(running: RunningStack) -> None:
    running.signal("notifier", signal.SIGKILL)
    deadline = time.monotonic() + 20
    while "notifier ended by SIGKILL" not in running.said():
        assert time.monotonic() < deadline, running.said()
        time.sleep(0.05)
    assert running.process("notifier") is None
    running.restart("notifier")
    assert running.process("notifier") is not None


def test_the_second_start_keeps_the_data_and_is_quick(running: RunningStack) -> None:
    _ask(running, "Project", {"data": {"title": "Kept over a restart"}}, "create")
    before = dict(running.demo)
    assert running.down(signal.SIGINT) == 0
    started = time.monotonic()
    running.up()
    assert time.monotonic() - started < 15
    assert running.demo == before
    assert _ask(running, "Project", {"where": {"title": "Kept over a restart"}})["data"]


def test_sigterm_leaves_no_process_and_no_demo_json(running: RunningStack) -> None:
    assert running.runner is not None
    family = psutil.Process(running.runner.pid).children(recursive=True)
    assert len(family) > 5
    assert running.down(signal.SIGTERM) == 0
    assert all(_gone(process) for process in family)
    assert not (running.home / "demo.json").exists()
    assert running.command("status").returncode == 1
    running.up()


def test_a_killed_runner_leaves_nothing_behind_after_the_next_start(running: RunningStack) -> None:
    assert running.runner is not None
    family = psutil.Process(running.runner.pid).children(recursive=True)
    running.down(signal.SIGKILL)
    running.up()
    assert all(_gone(process) for process in family)
    assert _ask(running, "Project", {"id": 4})["data"]


def test_a_start_waits_for_a_run_that_is_only_just_ending(running: RunningStack) -> None:
    assert running.runner is not None
    ending = running.runner
    ending.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (running.home / "demo.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    running.up()
    assert ending.wait(1) == 0


def test_the_demo_moves_with_its_server_to_another_port(running: RunningStack) -> None:
    old = urlsplit(running.demo["databaseUrl"]).port
    running.down()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", old or 0))
        taken.listen()
        running.up()
    assert urlsplit(running.demo["databaseUrl"]).port != old
    assert _ask(running, "Project", {"id": 5})["data"]
