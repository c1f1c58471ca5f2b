"""What a newcomer does in the first minutes."""

import json
import shlex
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.asking import Caller, Json, eventually
from tests.running import RunningStack

SEED_EXAMPLES: dict[str, tuple[str, Json]] = {
    "read": ("Project", {"id": 3}),
    "update": (
        "User",
        {"where": {"email": "test"}, "data": {"email": "test@gmail", "password": "test", "name": "test@new"}},
    ),
    "create": ("Project", {"data": {"title": "New Project", "description": "This is a new project"}}),
    "delete": ("Project", {"where": {"id": 3}}),
}


@pytest.fixture
def caller(stack: RunningStack) -> Caller:
    return Caller(stack.demo)


@pytest.fixture
async def third_project(stack: RunningStack) -> AsyncIterator[None]:
    """The demo's Project 3, put back at the end."""
    yield
    connection = await asyncpg.connect(stack.demo["databaseUrl"])
    await connection.execute("""INSERT INTO "Project" (id, title) OVERRIDING SYSTEM VALUE VALUES (3, 'Put back')""")
    await connection.close()


@pytest.mark.usefixtures("third_project")
def test_the_four_examples_of_the_first_page_work_as_written(caller: Caller) -> None:
    read = caller.data("read", *SEED_EXAMPLES["read"])
    assert [row["id"] for row in read] == [3]
    updated = caller.data("update", *SEED_EXAMPLES["update"])
    assert [(row["email"], row["name"]) for row in updated] == [("test@gmail", "test@new")]
    created = caller.data("create", *SEED_EXAMPLES["create"])
    assert created["title"] == "New Project"
    assert isinstance(created["id"], int)
    deleted = caller.data("delete", *SEED_EXAMPLES["delete"])
    assert [row["id"] for row in deleted] == [3]
    assert caller.data("read", "Project", {"id": 3}) == []


def test_a_create_without_the_optional_columns_takes_their_defaults(caller: Caller) -> None:
    created = caller.data("create", "Project", {"data": {"title": "New Project"}})
    assert created["title"] == "New Project"


def test_the_curls_of_the_banner_work(stack: RunningStack) -> None:
    curls = _curls(stack.said())
    assert len(curls) == 2, stack.said()
    first = subprocess.run(curls[0], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(first.stdout)["data"], first.stdout
    # The second registers a database of one's own: with the demo's put in, it is complete.
    own = [
        part.replace("postgresql://USER:PASSWORD@HOST:5432/DATABASE", stack.demo["databaseUrl"]) for part in curls[1]
    ]
    assert stack.demo["databaseUrl"] in " ".join(own), curls[1]
    second = subprocess.run(own, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(second.stdout)["apiKey"].startswith("dbk_"), second.stdout


def _curls(said: str) -> list[list[str]]:
    """The curl commands in what the runner printed, lines that end in a backslash joined."""
    joined = said.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if line.strip().startswith("curl ")]


def test_a_request_is_found_in_the_logs_and_counted_in_the_analytics(caller: Caller) -> None:
    before = caller.get("analytics")["requests"]
    answer = caller.query("read", "customer", {"limit": 2})
    started = time.monotonic()
    request_id = answer.headers["X-Request-Id"]
    eventually(lambda: caller.get("logs", requestId=request_id)["data"] != [])
    assert time.monotonic() - started < 10
    entry = caller.get("logs", requestId=request_id)["data"][0]
    assert entry["tableName"] == "shop.customer"
    assert (entry["operation"], entry["status"], entry["rows"]) == ("read", 200, 2)
    assert entry["keyId"] == caller.demo["keyId"]
    assert caller.get("analytics")["requests"] > before


def test_a_new_project_and_key_are_mailed_to_their_owner(caller: Caller, stack: RunningStack) -> None:
    made = caller.register("Mailed about", stack.demo["databaseUrl"])
    made.manage("POST", "keys", {"name": "for the phone app"})
    mails = Path(stack.demo["mailDir"])
    eventually(lambda: _mentions(mails, "Mailed about"))
    eventually(lambda: _mentions(mails, "for the phone app"))
    assert not _mentions(mails, made.demo["apiKey"])


def _mentions(folder: Path, text: str) -> bool:
    return any(text in mail.read_text() for mail in folder.glob("*.eml"))


def test_a_revoked_key_stops_working_everywhere_and_a_rotated_one_only_after_its_grace(caller: Caller) -> None:
    key = caller.manage("POST", "keys", {"name": "short-lived"}).json()
    user = Caller(caller.demo, apiKey=key["apiKey"])
    user.data("read", "Project", {"limit": 1})
    rotated = caller.manage("POST", f"keys/{key['id']}/rotate", {"graceSeconds": 3600}).json()
    user.data("read", "Project", {"limit": 1})
    Caller(caller.demo, apiKey=rotated["apiKey"]).data("read", "Project", {"limit": 1})
    assert caller.manage("DELETE", f"keys/{key['id']}").status_code == 204
    for _ in range(10):
        answer = Caller(caller.demo, apiKey=key["apiKey"]).query("read", "Project", {"limit": 1})
        assert answer.status_code == 401
        assert answer.json()["errorCode"] == "INVALID_API_KEY"


def test_a_database_cannot_be_seen_with_another_projects_key(caller: Caller, stack: RunningStack) -> None:
    other = caller.register("Another", stack.demo["databaseUrl"])
    mixed = Caller(caller.demo, apiKey=other.demo["apiKey"])
    answer = mixed.query("read", "Project", {"limit": 1})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "INVALID_API_KEY")
