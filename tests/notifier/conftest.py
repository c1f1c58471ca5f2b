"""A notifier that runs on real servers, and a gateway that answers whom it should write to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import asyncpg
import msgspec
import nats
import pytest
from nats.js.api import ConsumerInfo

from libs.common.access import inbox
from libs.common.bus import Bus, connect, method
from libs.common.errors import Code, DbifyError
from libs.common.events import CloudEvent, EventData, schema_of, subject_of, type_of
from libs.common.ids import ProjectId, new_id
from libs.common.rpc import Owner, OwnerRequest
from libs.common.streams import MAILER
from services.notifier.config import Config
from services.notifier.main import run
from stack.embedded import Nats, free_port

PROJECT = ProjectId(4)


async def eventually(fact: Callable[[], object | Awaitable[object]], timeout_s: float = 60) -> None:
    """Wait until a fact, asked for again and again, is true."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = fact()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


@dataclass
class Scene:
    """One test's servers, and what can be seen of them."""

    nats: Nats
    database: str
    mail_url: str
    folder: Path
    owners: dict[ProjectId, Owner] = field(default_factory=dict)

    def config(self) -> Config:
        return Config(
            nats_url=self.nats.url("notifier"),
            database_url=self.database,
            health_port=free_port(),
            mail_url=self.mail_url,
            mail_from="Dbify <no-reply@dbify.example>",
        )

    @asynccontextmanager
    async def notifier(self) -> AsyncIterator[None]:
        """A replica, run by its own main."""
        stop = asyncio.Event()
        running = asyncio.create_task(run(self.config(), stop))
        try:
            yield
        finally:
            stop.set()
            await running

    @asynccontextmanager
    async def bus(self) -> AsyncIterator[Bus]:
        """The gateway's user of NATS, connected."""
        async with connect(self.nats.url("gateway"), "gateway") as bus:
            await eventually(lambda: bus.connected)
            yield bus

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Bus]:
        """A gateway that knows `owners`."""

        async def owner(request: OwnerRequest) -> Owner:
            if request.project_id not in self.owners:
                raise DbifyError(Code.PROJECT_NOT_FOUND, "No such project.")
            return self.owners[request.project_id]

        async with self.bus() as bus:
            await bus.serve("gateway", {"owner": method(OwnerRequest, owner)})
            yield bus

    def mails(self) -> list[EmailMessage]:
        """The mails so far, in the order of their names."""
        found = []
        for file in sorted(self.folder.glob("*.eml")):
            mail = message_from_bytes(file.read_bytes(), policy=SMTP)
            assert isinstance(mail, EmailMessage)
            found.append(mail)
        return found

    async def rows(self) -> list[tuple[str, str, int]]:
        """Recipient, state and attempts of each delivery."""
        connection = await asyncpg.connect(self.database)
        try:
            rows = await connection.fetch("SELECT recipient, state, attempts FROM notifier.deliveries ORDER BY event")
        finally:
            await connection.close()
        return [tuple(row) for row in rows]

    async def has(self, wanted: str) -> bool:
        """Whether a delivery is in this state."""
        return any(state == wanted for _, state, _ in await self.rows())

    async def settled(self, timeout_s: float = 60) -> None:
        """Wait until the notifier has acknowledged every event."""
        await self._consumer_shows(lambda info: not (info.num_pending or info.num_ack_pending), timeout_s)

    async def tried_again(self) -> None:
        """Wait until an event has come to the notifier a second time."""
        await self._consumer_shows(lambda info: bool(info.num_redelivered), 30)

    async def redeliver_after(self, ack_wait_s: float) -> None:
        """Have events of a notifier that died come again sooner than they would."""
        admin = await nats.connect(self.nats.url("admin"), inbox_prefix=inbox("admin").encode())
        config = MAILER.config()
        config.ack_wait = ack_wait_s
        await admin.jetstream().add_consumer(MAILER.stream, config)
        await admin.close()

    async def _consumer_shows(self, fact: Callable[[ConsumerInfo], bool], timeout_s: float) -> None:
        own = await nats.connect(self.nats.url("notifier"), inbox_prefix=inbox("notifier").encode())
        try:

            async def shown() -> bool:
                return fact(await own.jetstream().consumer_info(MAILER.stream, MAILER.name))

            await eventually(shown, timeout_s)
        finally:
            await own.close()


def event(data: EventData, sequence: int, project: ProjectId = PROJECT) -> CloudEvent[EventData]:
    """An event as the gateway's outbox would make it."""
    return CloudEvent(
        id=new_id(), source="dbify/gateway", type=type_of(type(data)), subject=subject_of(project, type(data)),
        time="2026-11-25T10:11:12.345Z", dataschema=schema_of(type(data)), projectid=project, sequence=sequence,
        data=data,
    )  # fmt: skip


async def publish(bus: Bus, happened: CloudEvent[EventData], message_id: str = "") -> None:
    """Publish it; another `message_id` gets past the stream's own deduplication."""
    subject = subject_of(happened.projectid, type(happened.data))
    await bus.publish(subject, msgspec.json.encode(happened), message_id=message_id or happened.id)


@pytest.fixture
def scene(nats_server: Nats, platform_database: str, tmp_path: Path) -> Scene:
    folder = tmp_path / "mail"
    owners = {PROJECT: Owner("a1", "ada@example.com", "Shop")}
    return Scene(nats_server, platform_database, folder.as_uri(), folder, owners)
