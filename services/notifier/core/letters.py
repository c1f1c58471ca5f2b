"""What an event about a project says to its owner: a letter, still free of any mail format."""

import unicodedata
from typing import NamedTuple

import msgspec

from libs.common.events import CloudEvent, EventData, KeyCreated, KeyRevoked, KeyRotated, ProjectCreated
from libs.common.ids import ProjectId

# A project is made together with its first key: the first two events of its sequence are one occasion, one mail.
_MAKING = 2
_MAX_SHOWN = 120
# Joiners that scripts and emoji need, alone among the invisible characters.
_JOINERS = "\u200c\u200d"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NOT_YOU = "If this was neither you nor somebody you trust, revoke the key and change your password now."


class Event(NamedTuple):
    """An event that may be worth a letter."""

    id: str
    project: ProjectId
    time: str
    sequence: int
    data: EventData


class Letter(NamedTuple):
    """A mail's content: plain text throughout, each part one line.

    Attributes:
        facts: Labelled values, shown as a table.
        example: A command to try, or "".
    """

    subject: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    example: str = ""


_ENVELOPES = {
    data.kind: msgspec.json.Decoder(CloudEvent[data])  # type: ignore[valid-type]  # one concrete envelope for each kind
    for data in (ProjectCreated, KeyCreated, KeyRotated, KeyRevoked)
}


def read(subject: str, body: bytes) -> Event | None:
    """The event of a message, or None where its kind is never written about.

    Raises:
        ValueError: If the body is not the event that the subject announces.
    """
    _, _, project, *kind = subject.split(".")
    envelope = _ENVELOPES.get(".".join(kind))
    if envelope is None:
        return None
    event = envelope.decode(body)
    if str(event.projectid) != project:
        raise ValueError("the event belongs to another project than its subject says")
    return Event(event.id, event.projectid, event.time, event.sequence, event.data)


def is_news(event: Event) -> bool:
    """Whether the owner has yet to hear of it: the first key is part of the letter about its project."""
    return not (isinstance(event.data, KeyCreated) and event.sequence <= _MAKING)


def letter(event: Event, project_name: str, public_url: str) -> Letter:
    """The letter about an event. Names are the owner's own text and are shown on one line, at a bounded length."""
    name = shown(project_name)
    about = (("Project", f"{name} (projectId {event.project})"), ("Time", event.time))
    match event.data:
        case ProjectCreated():
            return Letter(
                f'Your project "{name}" is ready',
                (
                    "Your database has an API now: every table and view of it can be read and written over HTTP.",
                    "The API key was shown once, when the project was made; it is not in this mail and is not kept.",
                ),
                about,
                _curl(event.project, public_url),
            )
        case KeyCreated() as key:
            begins = ("Begins with", shown(key.prefix))
            facts = (("Key", shown(key.name)), begins, ("Key id", shown(key.key_id)))
            return Letter(f'A new API key for "{name}"', ("An API key was made.", _NOT_YOU), (*facts, *about))
        case KeyRotated() as key:
            ids = (("New key id", shown(key.key_id)), ("Replaces", shown(key.replaces)))
            until = ("Old key works until", shown(key.expires_at))
            hurry = "An API key was replaced. Give the new one to your programs before the old one ends."
            return Letter(f'An API key of "{name}" was rotated', (hurry, _NOT_YOU), (*ids, until, *about))
        case KeyRevoked() as key:
            refused = "An API key was revoked: requests that carry it are refused."
            return Letter(f'An API key of "{name}" was revoked', (refused,), (("Key id", shown(key.key_id)), *about))
        case _:
            raise ValueError(f"nothing is written about {event.data.kind}")


def shown(text: str) -> str:
    """Text as it may stand in a mail: no line ends or control, invisible or direction-changing characters."""
    visible = (
        character if character in _JOINERS or unicodedata.category(character) not in _INVISIBLE else " "
        for character in text
    )
    line = " ".join("".join(visible).split())
    return line if len(line) <= _MAX_SHOWN else line[: _MAX_SHOWN - 1] + "\u2026"


def _curl(project: ProjectId, public_url: str) -> str:
    """A first request; the reader fills in the key and a table of their own."""
    if not public_url:
        return ""
    asks = '"apiKey": "YOUR_API_KEY", "operation": "read", "tableName": "TABLE", "payload": {}'
    body = f'{{"projectId": {project}, {asks}}}'
    return f"curl -X POST {public_url.rstrip('/')}/query -H 'Content-Type: application/json' -d '{body}'"
