import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from libs.common.bus import connect
from libs.common.events import KeyCreated, KeyRevoked, KeyRotated, ProjectCreated, SchemaChanged
from libs.common.ids import ProjectId, new_id
from libs.common.rpc import Owner
from services.notifier.main import run
from stack.embedded import Postgres, free_port
from tests.notifier.conftest import PROJECT, Scene, event, eventually, publish

KEY = KeyCreated("k1", "Mobile app", "dbk_4148f8")
SENT = ("ada@example.com", "sent", 1)


async def test_a_new_project_is_one_mail_and_each_later_key_event_another(scene: Scene) -> None:
    async with scene.gateway() as gateway, scene.notifier():
        happened = [ProjectCreated("Shop"), KEY, KEY, KeyRotated("k2", "k1", "2026-11-26T00:00:00Z"), KeyRevoked("k1")]
        for sequence, data in enumerate(happened, 1):
            await publish(gateway, event(data, sequence))
        await scene.settled()
    assert [mail["Subject"] for mail in scene.mails()] == [
        'Your project "Shop" is ready',
        'A new API key for "Shop"',
        'An API key of "Shop" was rotated',
        'An API key of "Shop" was revoked',
    ]
    assert {mail["To"] for mail in scene.mails()} == {"ada@example.com"}
    assert await scene.rows() == [SENT] * 4


async def test_an_event_is_one_mail_however_often_it_arrives_at_two_replicas(scene: Scene) -> None:
    happened = [event(KEY, sequence) for sequence in range(3, 13)]
    async with scene.gateway() as gateway, scene.notifier(), scene.notifier():
        for _ in range(3):
            await asyncio.gather(*(publish(gateway, one, new_id()) for one in happened))
        await scene.settled()
    assert len(scene.mails()) == len(happened)
    assert await scene.rows() == [SENT] * len(happened)


async def test_other_events_are_acknowledged_without_a_mail(scene: Scene) -> None:
    async with connect(scene.nats.url("introspector"), "introspector") as introspector, scene.notifier():
        await eventually(lambda: introspector.connected)
        await publish(introspector, event(SchemaChanged(1, 2), 1))
        await scene.settled()
    assert await scene.rows() == []
    assert scene.mails() == []


async def test_a_gateway_that_does_not_answer_delays_a_mail_and_loses_none(scene: Scene) -> None:
    async with scene.bus() as bus, scene.notifier():
        await publish(bus, event(ProjectCreated("Shop"), 1))
        await scene.tried_again()
        assert scene.mails() == []
        async with scene.gateway():
            await scene.settled()
    assert [mail["Subject"] for mail in scene.mails()] == ['Your project "Shop" is ready']
    assert await scene.rows() == [SENT]


async def test_nats_down_and_up_again_loses_no_event(scene: Scene) -> None:
    async with scene.gateway() as gateway, scene.notifier():
        await publish(gateway, event(KEY, 3))
        await eventually(lambda: len(scene.mails()) == 1)
        await scene.nats.stop()
        await eventually(lambda: not gateway.connected)
        await scene.nats.restart()
        await eventually(lambda: gateway.connected)
        await publish(gateway, event(KEY, 4))
        await eventually(lambda: len(scene.mails()) == 2)
        await scene.settled()
    assert await scene.rows() == [SENT] * 2


async def test_a_notifier_that_starts_before_its_database_sends_once_it_is_there(
    scene: Scene, cluster: Postgres
) -> None:
    await cluster.stop()
    async with scene.gateway() as gateway, scene.notifier():
        await publish(gateway, event(KEY, 3))
        await scene.tried_again()
        await cluster.restart()
        await scene.settled()
    assert await scene.rows() == [SENT]
    assert len(scene.mails()) == 1


async def test_a_project_that_is_gone_and_an_unusable_address_are_recorded_as_undeliverable(scene: Scene) -> None:
    scene.owners[ProjectId(6)] = Owner("a2", "ada@example.com, eve@example.com", "Shop")
    async with scene.gateway() as gateway, scene.notifier():
        await publish(gateway, event(ProjectCreated("Gone"), 1, ProjectId(5)))
        await publish(gateway, event(ProjectCreated("Shop"), 1, ProjectId(6)))
        await scene.settled()
    assert await scene.rows() == [("", "undeliverable", 1)] * 2
    assert scene.mails() == []


async def test_what_is_not_an_event_becomes_a_dead_letter_and_holds_up_nothing(scene: Scene) -> None:
    async with scene.gateway() as gateway, scene.notifier():
        await gateway.publish("dbify.events.4.project.created", b'{"id": 1}', message_id="broken")
        await publish(gateway, event(KEY, 3))
        await scene.settled()
        dead = await gateway._link.client.jetstream().stream_info("DEAD")
    assert dead.state.messages == 1
    assert len(scene.mails()) == 1


async def test_a_mail_folder_that_cannot_be_written_is_tried_again(scene: Scene) -> None:
    scene.folder.write_text("a file where the folder should be")
    async with scene.gateway() as gateway, scene.notifier():
        await publish(gateway, event(KEY, 3))
        await eventually(lambda: scene.has("failed"))
        scene.folder.unlink()
        await scene.settled()
    ((recipient, state, attempts),) = await scene.rows()
    assert (recipient, state) == ("ada@example.com", "sent")
    assert attempts >= 2
    assert len(scene.mails()) == 1
    assert list(scene.folder.glob(".*")) == []


async def test_readiness_names_each_dependency(scene: Scene, cluster: Postgres) -> None:
    config, stop = scene.config(), asyncio.Event()
    running = asyncio.create_task(run(config, stop))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{config.health_port}", timeout=10) as client:
        answer = await _until(client, 200)
        assert answer.json() == {"status": "ready", "dependencies": {"postgres": "ok", "nats": "ok"}}
        await cluster.stop()
        answer = await _until(client, 503)
        assert answer.json()["dependencies"]["postgres"].startswith("down")
        assert "dbify_notifier_mails_total" in (await client.get("/metrics")).text
    stop.set()
    await running


async def _until(client: httpx.AsyncClient, status: int) -> httpx.Response:
    answers: list[httpx.Response] = []

    async def answered() -> bool:
        with suppress(httpx.TransportError):
            answers.append(await client.get("/readyz"))
        return bool(answers) and answers[-1].status_code == status

    await eventually(answered)
    return answers[-1]


@pytest.fixture
async def process(scene: Scene) -> AsyncIterator[asyncio.subprocess.Process]:
    started = await _start(scene, DBIFY_HEALTH_PORT=str(free_port()))
    yield started
    if started.returncode is None:
        started.kill()
        await started.wait()


async def _start(scene: Scene, **changes: str) -> asyncio.subprocess.Process:
    environment = {
        "DBIFY_NATS_URL": scene.nats.url("notifier"),
        "DBIFY_DATABASE_URL": scene.database,
        "DBIFY_MAIL_URL": scene.mail_url,
        "DBIFY_MAIL_FROM": "Dbify <no-reply@dbify.example>",
        **changes,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.notifier", env=environment, stderr=asyncio.subprocess.PIPE
    )


@pytest.mark.slow
async def test_a_killed_notifier_s_events_are_taken_up_by_the_next(
    scene: Scene, process: asyncio.subprocess.Process
) -> None:
    await scene.redeliver_after(2)
    async with scene.gateway() as gateway:
        for sequence in range(3, 23):
            await publish(gateway, event(KEY, sequence))
        await eventually(lambda: len(scene.mails()) >= 3)
        process.kill()
        await process.wait()
        async with scene.notifier():
            # A mail it had claimed but not settled is free after 30 s, and asked for again at most a minute later.
            await eventually(lambda: len(scene.mails()) == 20, 150)
            await scene.settled(150)
    assert [state for _, state, _ in await scene.rows()] == ["sent"] * 20


async def test_it_ends_cleanly_when_told_to(scene: Scene, process: asyncio.subprocess.Process) -> None:
    async with scene.gateway() as gateway:
        await publish(gateway, event(KEY, 3, PROJECT))
        await eventually(scene.mails)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_mail_url_of_a_kind_that_does_not_exist_is_refused_at_start(scene: Scene) -> None:
    started = await _start(scene, DBIFY_HEALTH_PORT=str(free_port()), DBIFY_MAIL_URL="pigeon://secret@loft")
    _, said = await started.communicate()
    assert started.returncode == 2
    assert "DBIFY_MAIL_URL is malformed: where mails go: file:///FOLDER for .eml files, or ses:" in said.decode()
    assert "secret" not in said.decode()
