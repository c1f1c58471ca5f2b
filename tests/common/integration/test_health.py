import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from libs.common import health
from libs.common.health import Health
from tests.common.waiting import until


class Part:
    """A dependency that can be broken."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.hangs = False

    async def check(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
async def client(part: Part, free_port: int) -> AsyncIterator[httpx.AsyncClient]:
    parts, stop = Health(), asyncio.Event()
    parts.add("postgres", part.check, required=True)
    parts.add("nats", Part().check, required=False)
    serving = asyncio.create_task(health.serve(parts, "127.0.0.1", free_port, stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{free_port}") as client:
        await until(lambda: _answers(client))
        yield client
    stop.set()
    await serving


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/livez")).status_code == 200
    except httpx.TransportError:
        return False


async def test_a_service_is_ready_while_what_it_requires_answers(client: httpx.AsyncClient, part: Part) -> None:
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "dependencies": {"postgres": "ok", "nats": "ok"}}

    part.error = ConnectionError("cannot reach postgres://u:hunter2@h/d")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unready"
    assert answer.json()["dependencies"]["postgres"].startswith("down: ConnectionError")
    assert "hunter2" not in answer.text
    assert (await client.get("/livez")).status_code == 200


async def test_a_dependency_that_hangs_is_down_within_the_limit(
    client: httpx.AsyncClient, part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_CHECK_TIMEOUT_S", 0.1)
    part.hangs = True
    answer = await client.get("/readyz", timeout=2)
    assert answer.json()["dependencies"] == {"postgres": "down: no answer in time", "nats": "ok"}


async def test_what_is_not_required_never_makes_a_service_unready() -> None:
    parts, broken = Health(), Part()
    broken.error = OSError("gone")
    parts.add("redis", broken.check, required=False)
    assert await parts.ready() == (True, {"redis": "down: OSError: gone"})


async def test_metrics_are_prometheus_text_and_other_paths_are_not_found(client: httpx.AsyncClient) -> None:
    metrics = await client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert "dbify_bus_connected" in metrics.text
    assert (await client.get("/else")).status_code == 404


async def test_other_paths_are_left_to_others() -> None:
    assert await health.respond(Health(), "/query") is None


async def test_a_taken_port_is_an_error(client: httpx.AsyncClient) -> None:
    port = client.base_url.port
    assert port is not None
    with pytest.raises(OSError, match=str(port)):
        await asyncio.wait_for(health.serve(Health(), "127.0.0.1", port, asyncio.Event()), 10)


async def test_serving_says_nothing_of_its_own(client: httpx.AsyncClient, capfd: pytest.CaptureFixture[str]) -> None:
    await client.get("/livez")
    assert capfd.readouterr() == ("", "")
