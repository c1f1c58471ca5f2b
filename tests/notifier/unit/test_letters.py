from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.events import (
    CloudEvent,
    EventData,
    KeyCreated,
    KeyRevoked,
    KeyRotated,
    ProjectCreated,
    SchemaChanged,
    schema_of,
    subject_of,
    type_of,
)
from libs.common.ids import ProjectId
from services.notifier.core.letters import is_news, letter, read, shown
from services.notifier.core.mime import Envelope, address, compose, mailbox

ID = "01946e2a-7b6c-7000-8000-000000000001"
TIME = "2026-11-25T10:11:12.345678Z"
PROJECT = ProjectId(4)
SENDER = Address("Dbify", "no-reply", "dbify.example")
OWNER = Address(addr_spec="ada@example.com")

CREATED = ProjectCreated("Shop")
KEY = KeyCreated("k1", "Mobile app", "dbk_4148f8")


def published(data: EventData, sequence: int = 1, event: str = ID) -> tuple[str, bytes]:
    envelope = CloudEvent(
        id=event, source="dbify/gateway", type=type_of(type(data)), subject="4", time=TIME,
        dataschema=schema_of(type(data)), projectid=PROJECT, sequence=sequence, data=data,
    )  # fmt: skip
    return subject_of(PROJECT, type(data)), msgspec.json.encode(envelope)


def mail(data: EventData, name: str = "Shop", public_url: str = "https://api.example") -> EmailMessage:
    event = read(*published(data, sequence=9))
    assert event is not None
    sent = compose(letter(event, name, public_url), Envelope(SENDER, OWNER, event.id, event.time))
    received = message_from_bytes(sent.as_bytes(), policy=SMTP)
    assert isinstance(received, EmailMessage)
    return received


def text(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    content: str = part.get_content()
    return content


@pytest.mark.parametrize(
    ("data", "subject", "says"),
    [
        (CREATED, 'Your project "Shop" is ready', ["projectId 4", "curl -X POST https://api.example/query"]),
        (KEY, 'A new API key for "Shop"', ["Mobile app", "dbk_4148f8", "k1", "revoke the key"]),
        (KeyRotated("k2", "k1", "2026-11-26T00:00:00Z"), 'An API key of "Shop" was rotated', ["k2", "k1", "11-26"]),
        (KeyRevoked("k1"), 'An API key of "Shop" was revoked', ["k1", "refused"]),
    ],
)
def test_each_event_has_its_letter_in_text_and_html(data: EventData, subject: str, says: list[str]) -> None:
    received = mail(data)
    assert received["Subject"] == subject
    assert received["From"] == "Dbify <no-reply@dbify.example>"
    assert received["To"] == "ada@example.com"
    assert received["Message-ID"] == f"<{ID}@dbify.example>"
    assert received["Date"].datetime.isoformat() == "2026-11-25T10:11:12+00:00"
    assert received["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        for said in says:
            assert said in text(received, kind)


def test_the_same_event_makes_the_same_bytes() -> None:
    assert mail(KEY).as_bytes() == mail(KEY).as_bytes()


def test_without_a_public_address_no_command_is_shown() -> None:
    assert "curl" not in text(mail(CREATED, public_url=""))


@pytest.mark.parametrize(
    "name",
    [
        "a\r\nBcc: eve@example.com",
        "a\nBcc: eve@example.com\n\nbody",
        "a\x0bBcc: eve@example.com",
        "a\u2028Bcc: eve@example.com",
        "a\x85Bcc: eve@example.com",
        "=?utf-8?q?a=0D=0ABcc:_eve@example.com?=",
        "<script>alert(1)</script>",
        "\x00",
        "long " * 200,
        "Caf\xe9 \u6f22\u5b57 \U0001f600",
    ],
)
@pytest.mark.parametrize("data", [CREATED, KEY])
def test_a_name_cannot_add_a_header_or_markup(name: str, data: EventData) -> None:
    received = mail(data, name)
    assert received["Bcc"] is None
    assert sorted(received.keys()) == [
        "Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To",
    ]  # fmt: skip
    assert "<script>" not in text(received, "html")


@given(st.text(max_size=400))
def test_any_name_travels_whole_as_it_is_shown(name: str) -> None:
    received = mail(KeyCreated("k", name.encode(errors="replace").decode(), "dbk_"), name="Shop")
    assert sorted(part.get_content_type() for part in received.walk()) == [
        "multipart/alternative", "text/html", "text/plain",
    ]  # fmt: skip
    assert shown(name.encode(errors="replace").decode()) in text(received)


@given(st.text())
def test_what_is_shown_is_one_bounded_line(name: str) -> None:
    line = shown(name)
    assert len(line.splitlines()) <= 1
    assert len(line) <= 120
    assert shown(line) == line


def test_a_direction_override_is_not_shown_but_emoji_stay_whole() -> None:
    assert shown("a\u202egnp.exe") == "a gnp.exe"
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert shown(family) == family


@pytest.mark.parametrize(
    ("sequence", "data", "news"),
    [(1, CREATED, True), (2, KEY, False), (3, KEY, True), (1, KEY, False), (2, KeyRevoked("k"), True)],
)
def test_the_first_key_is_part_of_the_letter_about_its_project(sequence: int, data: EventData, *, news: bool) -> None:
    event = read(*published(data, sequence))
    assert event is not None
    assert is_news(event) is news


def test_other_kinds_are_not_written_about() -> None:
    assert read(*published(SchemaChanged(1, 2))) is None


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("dbify.events.4.project.created", b"{"),
        ("dbify.events.4.project.created", b"{}"),
        ("dbify.events.5.project.created", published(CREATED)[1]),
        ("dbify.events.4.key.created", published(CREATED)[1]),
        ("dbify.events.4.project.created", published(CREATED)[1].replace(b"Shop", b"\xff")),
    ],
)
def test_a_body_that_is_not_the_announced_event_is_an_error(subject: str, body: bytes) -> None:
    with pytest.raises((ValueError, msgspec.MsgspecError)):
        read(subject, body)


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("ada@example.com", "ada@example.com"),
        ("a.b+c@b\xfccher.example", "a.b+c@xn--bcher-kva.example"),
        ("o'neil=x@sub.example.com", "o'neil=x@sub.example.com"),
    ],
)
def test_a_plain_address_is_taken(given: str, parsed: str) -> None:
    assert address(given).addr_spec == parsed


@pytest.mark.parametrize(
    "given",
    [
        "", "ada", "\xe4da@example.com", "a@-b.c", "@", "ada@", "@example.com", "a@b, c@d", "a b@example.com",
        "a@b;c@d", "Ada <ada@example.com>", "ada@example.com\r\nBcc: e@f", "a@b\x00", "a@b@c", "(x)a@b",
        "a@" + "b" * 300, "a@b,c", "a@b>", "a@[1.2.3.4\r]", "a..b@c", "a@b..c",
    ],
)  # fmt: skip
def test_anything_but_one_plain_address_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="mail address"):
        address(given)


@pytest.mark.parametrize(
    ("given", "shown_as"),
    [
        ("Dbify <a@b.example>", "Dbify <a@b.example>"),
        ("a@b.example", "a@b.example"),
        ('"D, x" <a@b.c>', '"D, x" <a@b.c>'),
    ],
)
def test_a_mailbox_may_have_a_name(given: str, shown_as: str) -> None:
    assert str(mailbox(given)) == shown_as


@pytest.mark.parametrize(
    "given", ["", "x", "a@b, c@d", "Dbify <a@b", "Dbify <>", "a@b\r\nBcc: c@d", "group: a@b, c@d;"]
)
def test_a_mailbox_that_is_none_or_several_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        mailbox(given)


def test_no_event_can_carry_a_whole_key_into_a_mail() -> None:
    fields: dict[str, Any] = KeyCreated.__annotations__
    assert set(fields) - {"kind"} == {"key_id", "name", "prefix"}
    assert UUID(ID).version == 7
