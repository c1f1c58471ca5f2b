"""One mail to a project's owner for each event that is news to them, however often the event is delivered."""

import asyncio
import uuid
from email.headerregistry import Address
from email.message import EmailMessage
from typing import NamedTuple, Protocol

import msgspec
from prometheus_client import Counter

from libs.common.bus import Message, Poison
from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.rpc import Owner
from services.notifier.core.letters import Event, is_news, letter, read
from services.notifier.core.mime import Envelope, address, compose

# Shorter than a claim, so that nobody takes over a mail that is still being handed over.
SEND_TIMEOUT_S = 20.0
CLAIM_S = 30.0

mails = Counter("dbify_notifier_mails_total", "Mails by what became of them.", ["outcome"])
repeats = Counter(
    "dbify_notifier_mails_possibly_repeated_total",
    "Mails handed over again because it is not known whether the attempt before was accepted.",
)


class Refused(Exception):  # noqa: N818  # it is an answer, not a failure of ours
    """The mail will never be accepted; the text says why, and is kept."""


class NotAccepted(Exception):  # noqa: N818  # it is an answer, not a failure of ours
    """The mail was certainly not accepted this time; any other exception leaves that open."""


class Mail(Protocol):
    """Something that takes mails for delivery."""

    async def send(self, message: EmailMessage) -> None:
        """Hand the mail over and return once it is accepted; raises `Refused` or `NotAccepted`."""


class Owners(Protocol):
    """Who owns a project."""

    async def owner(self, project: ProjectId) -> Owner | None:
        """The owner, or None where there is no such project."""


class Claim(NamedTuple):
    """The right to send a mail: which attempt it is, and whether an earlier one may have gone out."""

    attempt: int
    may_repeat: bool


class Deliveries(Protocol):
    """What became of each mail."""

    async def settled(self, event: str) -> bool:
        """Whether nothing is left to do about an event."""

    async def claim(self, event: Event, recipient: str, duration_s: float) -> Claim | None:
        """Take the mail on, or None where another holds it or it is settled."""

    async def settle(self, event: Event, recipient: str, claim: Claim, state: str, reason: str = "") -> None:
        """Record what became of a claimed mail: "sent", "undeliverable", or "failed" to have it tried again."""


class Notify:
    """Handles the events of the `MAILER` consumer.

    Args:
        sender: The mailbox that mails come from, such as `Dbify <no-reply@example.com>`.
        public_url: Where the API is reached, shown in mails; "" to leave it out.
    """

    def __init__(self, owners: Owners, deliveries: Deliveries, mail: Mail, sender: Address, public_url: str) -> None:
        self._owners = owners
        self._deliveries = deliveries
        self._mail = mail
        self._sender = sender
        self._public_url = public_url

    async def __call__(self, message: Message) -> None:
        """See to it that the owner knows. Returning means it is settled; an exception means try again."""
        event = _event(message)
        if event is None or not is_news(event) or await self._deliveries.settled(event.id):
            return
        owner = await self._owners.owner(event.project)
        if owner is None:
            await self._give_up(event, "", "The project is gone.")
            return
        try:
            recipient = address(owner.email)
        except ValueError:
            await self._give_up(event, "", "The owner's mail address cannot be written to.")
            return
        content = letter(event, owner.project_name, self._public_url)
        await self._deliver(
            event, compose(content, Envelope(self._sender, recipient, event.id, event.time)), owner.email
        )

    async def _deliver(self, event: Event, message: EmailMessage, recipient: str) -> None:
        claim = await self._claim(event, recipient)
        repeats.inc(claim.may_repeat)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._mail.send(message)
        except Refused as refused:
            mails.labels("refused").inc()
            await self._deliveries.settle(event, recipient, claim, "undeliverable", str(refused))
        except NotAccepted as failure:
            mails.labels("failed").inc()
            await self._deliveries.settle(event, recipient, claim, "failed", str(failure))
            raise
        else:
            mails.labels("sent").inc()
            await self._deliveries.settle(event, recipient, claim, "sent")

    async def _give_up(self, event: Event, recipient: str, reason: str) -> None:
        claim = await self._claim(event, recipient)
        mails.labels("undeliverable").inc()
        await self._deliveries.settle(event, recipient, claim, "undeliverable", reason)

    async def _claim(self, event: Event, recipient: str) -> Claim:
        claim = await self._deliveries.claim(event, recipient, CLAIM_S)
        if claim is None:
            raise DbifyError(Code.SERVICE_UNAVAILABLE, "Another notifier has taken this mail on: look again later.")
        return claim


def _event(message: Message) -> Event | None:
    try:
        event = read(message.subject, message.data)
        if event is not None:
            uuid.UUID(event.id)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Poison(f"not an event that can be read: {error}") from error
    return event
