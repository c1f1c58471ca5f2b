import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio as redis

from services.gateway.core.credentials import API_KEY, compose
from stack import embedded
from tests.common.waiting import until
from tests.gateway import scene
from tests.gateway.answers import assert_refused
from tests.gateway.scene import Gateway

_TERMINATE = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"
UNKNOWN = compose(API_KEY, "0" * 32)


@pytest.fixture
async def project(gateway: Gateway, bookshop: str) -> dict[str, Any]:
    return await gateway.register(bookshop)


@pytest.fixture
async def other(
    platform_database: str,
    nats_server: embedded.Nats,
    valkey: embedded.Valkey,
    tmp_path: Path,
    project: dict[str, Any],
) -> AsyncIterator[Gateway]:
    """A second process beside the first, which knows the project's key already."""
    url = nats_server.url("gateway")
    async with scene.gateway(platform_database, url, valkey.url(), tmp_path / "spool") as running:
        assert (await running.query(project["apiKey"])).status_code == 200
        yield running


def _path(project: dict[str, Any], rest: str = "") -> str:
    return f"/v1/projects/{project['projectId']}/keys{rest}"


async def _shared(valkey: embedded.Valkey, how_many: int = 1) -> None:
    """Until keys in use are known in Redis."""
    async with redis.from_url(valkey.url()) as client:

        async def known() -> bool:
            return len(await client.keys("dbify:key:*")) >= how_many

        await until(known)
        for key in await client.keys("dbify:key:*"):
            # As long as the README says.
            assert 3500 < await client.ttl(key) <= 3600


async def test_a_revoked_key_works_in_no_process_once_its_delete_answers(
    gateway: Gateway, other: Gateway, project: dict[str, Any]
) -> None:
    began = time.monotonic()
    gone = await gateway.call("DELETE", _path(project, f"/{project['keyId']}"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert time.monotonic() - began < 3
    for each in (gateway, other):
        assert_refused(await each.query(project["apiKey"]), 401, "INVALID_API_KEY")
    assert_refused(await gateway.call("DELETE", _path(project, f"/{project['keyId']}")), 404, "KEY_NOT_FOUND")


async def test_a_key_revoked_while_redis_is_down_stays_revoked_when_redis_comes_back(
    gateway: Gateway, other: Gateway, project: dict[str, Any], valkey: embedded.Valkey
) -> None:
    await _shared(valkey)
    await valkey.stop()
    assert (await gateway.call("DELETE", _path(project, f"/{project['keyId']}"))).status_code == 204
    await valkey.restart()
    for _ in range(5):
        for each in (gateway, other):
            assert_refused(await each.query(project["apiKey"]), 401, "INVALID_API_KEY")
        await asyncio.sleep(0.2)


async def test_a_rotated_key_works_until_its_grace_period_ends(
    gateway: Gateway, other: Gateway, project: dict[str, Any]
) -> None:
    made = await gateway.call("POST", _path(project, f"/{project['keyId']}/rotate"), {"graceSeconds": 3})
    assert made.status_code == 201, made.text
    new = made.json()
    assert (new["name"], new["role"]) == ("default", None)
    for each in (gateway, other):
        assert (await each.query(project["apiKey"])).status_code == 200
        assert (await each.query(new["apiKey"])).status_code == 200
    listed = (await gateway.call("GET", _path(project))).json()["data"]
    assert [key["id"] for key in listed] == [new["id"], project["keyId"]]
    assert listed[1]["expiresAt"] is not None
    for each in (gateway, other):

        async def refused(each: Gateway = each) -> bool:
            return (await each.query(project["apiKey"])).status_code == 401

        await until(refused, within_s=5)
        assert (await each.query(new["apiKey"])).status_code == 200
    assert [key["id"] for key in (await gateway.call("GET", _path(project))).json()["data"]] == [new["id"]]


async def test_a_rotation_without_grace_ends_the_old_key_everywhere(
    gateway: Gateway, other: Gateway, project: dict[str, Any]
) -> None:
    made = await gateway.call("POST", _path(project, f"/{project['keyId']}/rotate"), {"graceSeconds": 0})
    assert made.status_code == 201, made.text
    for each in (gateway, other):
        assert_refused(await each.query(project["apiKey"]), 401, "INVALID_API_KEY")
        assert (await each.query(made.json()["apiKey"])).status_code == 200


async def test_a_rotation_needs_no_body_and_a_sensible_grace(gateway: Gateway, project: dict[str, Any]) -> None:
    path = _path(project, f"/{project['keyId']}/rotate")
    for grace in (-1, 90 * 86_400 + 1):
        assert_refused(await gateway.call("POST", path, {"graceSeconds": grace}), 400, "INVALID_REQUEST")
    assert (await gateway.call("POST", path)).status_code == 201


async def test_keys_are_made_and_listed_without_themselves(gateway: Gateway, project: dict[str, Any]) -> None:
    made = (await gateway.call("POST", _path(project), {"name": "ci"})).json()
    assert made["apiKey"].startswith(made["prefix"])
    assert (await gateway.query(made["apiKey"])).status_code == 200
    listed = (await gateway.call("GET", _path(project))).json()["data"]
    assert [key["name"] for key in listed] == ["ci", "default"]
    assert all("apiKey" not in key for key in listed)


async def test_every_key_that_is_not_taken_is_answered_alike(gateway: Gateway, project: dict[str, Any]) -> None:
    for api_key in ("dbk_", UNKNOWN, UNKNOWN[:-1], UNKNOWN + "x", UNKNOWN[:-1] + "!", "dbk_" + "ü" * 38, "x" * 5000):
        body = {"operation": "read", "tableName": "book", "payload": {}, "apiKey": api_key, "projectId": 1}
        answer = await gateway.client.post("/query", json=body)
        assert_refused(answer, 401, "INVALID_API_KEY")
        none = await gateway.client.post(
            "/query", json={**body, "projectId": project["projectId"], "apiKey": "nonsense"}
        )
        assert answer.json()["message"] == none.json()["message"]


async def test_known_keys_are_served_while_redis_is_down(
    gateway: Gateway, project: dict[str, Any], valkey: embedded.Valkey
) -> None:
    await valkey.stop()
    for _ in range(5):
        assert (await gateway.query(project["apiKey"])).status_code == 200
    fresh = (await gateway.call("POST", _path(project), {"name": "fresh"})).json()
    assert (await gateway.query(fresh["apiKey"])).status_code == 200


async def _break(platform_database: str) -> asyncpg.Connection:
    """Cut the platform database off, as good as down, while the user's own goes on."""
    base, _, name = platform_database.rpartition("/")
    connection = await asyncpg.connect(f"{base}/postgres")
    async with asyncio.timeout(10):
        while True:
            await connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
            with suppress(asyncpg.ObjectInUseError):  # a pool that dialled again in between
                await connection.execute(f"alter database {name} rename to {name}_away")
                return connection


async def _mend(connection: asyncpg.Connection, platform_database: str) -> None:
    name = platform_database.rpartition("/")[2]
    await connection.execute(f"alter database {name}_away rename to {name}")
    await connection.close()


async def test_known_keys_are_served_from_redis_while_the_platform_database_is_down(
    gateway: Gateway, project: dict[str, Any], valkey: embedded.Valkey, platform_database: str
) -> None:
    assert (await gateway.query(project["apiKey"])).status_code == 200
    await _shared(valkey)
    connection = await _break(platform_database)
    try:
        ends = time.monotonic() + 3
        while time.monotonic() < ends:
            answer = await gateway.query(project["apiKey"])
            assert answer.status_code == 200, answer.text
            await asyncio.sleep(0.05)
        assert_refused(await gateway.query(UNKNOWN), 503, "KEY_UNVERIFIABLE")
        assert_refused(await gateway.call("GET", "/v1/projects"), 503, "PLATFORM_UNAVAILABLE")
        ready = await gateway.client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["dependencies"]["postgres"].startswith("down")
    finally:
        await _mend(connection, platform_database)
    assert (await gateway.call("GET", "/v1/projects")).status_code == 200


async def test_no_key_is_served_unverified_where_redis_is_down_too(
    gateway: Gateway, project: dict[str, Any], valkey: embedded.Valkey, platform_database: str
) -> None:
    assert (await gateway.query(project["apiKey"])).status_code == 200
    connection = await _break(platform_database)
    try:
        await valkey.stop()

        async def unverifiable() -> bool:
            answer = await gateway.query(project["apiKey"])
            assert answer.status_code in {200, 503}, answer.text
            return answer.status_code == 503

        await until(unverifiable, within_s=5)
        assert_refused(await gateway.query(project["apiKey"]), 503, "KEY_UNVERIFIABLE")
    finally:
        await _mend(connection, platform_database)

    async def served() -> bool:
        return (await gateway.query(project["apiKey"])).status_code == 200

    await until(served)


async def test_the_owner_sees_when_a_key_was_last_used(gateway: Gateway, project: dict[str, Any]) -> None:
    await gateway.query(project["apiKey"])

    async def noted() -> bool:
        return (await gateway.call("GET", _path(project))).json()["data"][0]["lastUsedAt"] is not None

    await until(noted, within_s=20)
