"""A letter as a mail message (RFC 5322), the same bytes for the same event."""

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from services.notifier.core.letters import Letter

_MAX_ADDRESS = 254  # RFC 5321, section 4.5.3.1.3
_ATOM = r"[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+"  # RFC 5322, section 3.2.3
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_LABEL = r"[0-9A-Za-z]([0-9A-Za-z-]*[0-9A-Za-z])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_HTML = """\
<!doctype html>
<html lang="en"><body style="font-family:system-ui,sans-serif;line-height:1.5;color:#1a1a1a">
<h1 style="font-size:1.25rem">{subject}</h1>
{paragraphs}
<table style="border-collapse:collapse">{facts}</table>
{example}
<p style="color:#666;font-size:.875rem">{footer}</p>
</body></html>
"""
_FOOTER = "You get this mail because you own the project on Dbify."


class Envelope(NamedTuple):
    """Who writes to whom about which event, and when it happened (RFC 3339)."""

    sender: Address
    recipient: Address
    event: str
    time: str


def address(text: str) -> Address:
    """One plain mailbox, `local@domain`, the domain in its ASCII form.

    A local part outside ASCII needs SMTPUTF8 (RFC 6531) on every server on the way, which SES does not offer.

    Raises:
        ValueError: If the text is anything else: several addresses, a display name, control characters, too long.
    """
    local, _, domain = text.rpartition("@")
    try:
        domain = domain.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError("not one mail address") from error
    if len(text) > _MAX_ADDRESS or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError("not one mail address")
    return Address(username=local, domain=domain)


def mailbox(text: str) -> Address:
    """One mailbox that may have a name, such as `Dbify <no-reply@example.com>`.

    Raises:
        ValueError: If the text is anything else.
    """
    header = SMTP.header_factory("From", text)
    addresses: tuple[Address, ...] = header.addresses
    if len(addresses) != 1 or header.defects:
        raise ValueError("not one mailbox")
    plain = address(addresses[0].addr_spec)
    return Address(addresses[0].display_name, plain.username, plain.domain)


def compose(letter: "Letter", envelope: Envelope) -> EmailMessage:
    """The letter as text with an HTML alternative; its Message-ID is the event's id, so that repeats are recognised."""
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = f"<{envelope.event}@{envelope.sender.domain}>"
    message["Date"] = datetime.fromisoformat(envelope.time)
    message["From"] = envelope.sender
    message["To"] = envelope.recipient
    # The email package decodes encoded words (RFC 2047) in what it is given, and a line end inside one would end the
    # header: a name such as `=?utf-8?q?=0D=0ABcc:_a?=` stays literal text only with its opening broken.
    message["Subject"] = letter.subject.replace("=?", "= ?")
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: keeps vacation programs from answering
    message.set_content(_text(letter))
    message.add_alternative(_html(letter), subtype="html")
    message.set_boundary(f"=_{envelope.event}")
    return message


def _text(letter: "Letter") -> str:
    facts = "\n".join(f"{label}: {value}" for label, value in letter.facts)
    parts = (*letter.paragraphs, facts, letter.example, f"-- \n{_FOOTER}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(letter: "Letter") -> str:
    cell = '<td style="padding:.125rem 1rem .125rem 0">'
    return _HTML.format(
        subject=escape(letter.subject),
        paragraphs="\n".join(f"<p>{escape(paragraph)}</p>" for paragraph in letter.paragraphs),
        facts="".join(
            f"<tr>{cell}{escape(label)}</td>{cell}{escape(value)}</td></tr>" for label, value in letter.facts
        ),
        example=f'<pre style="white-space:pre-wrap">{escape(letter.example)}</pre>' if letter.example else "",
        footer=_FOOTER,
    )
