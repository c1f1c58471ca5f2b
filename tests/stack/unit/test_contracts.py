"""What is declared in one place is declared once, and those who rely on it agree with it."""

import importlib
from collections import Counter
from collections.abc import Iterable

import msgspec
import pytest
from nats.js.api import RetentionPolicy

from libs.common.access import SERVICES, access
from libs.common.errors import Code
from libs.common.streams import CONSUMERS, STREAMS
from stack.nats_config import USERS, for_a_cluster
from stack.parts import ROOT, TOLD


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _matches(subject: str, pattern: str) -> bool:
    tokens, wanted = subject.split("."), pattern.split(".")
    if wanted[-1] == ">":
        return len(tokens) >= len(wanted) and _matches(".".join(tokens[: len(wanted) - 1]), ".".join(wanted[:-1]))
    return len(tokens) == len(wanted) and all(b in ("*", a) for a, b in zip(tokens, wanted, strict=True))


def test_no_error_code_is_another_name_of_one_before() -> None:
    assert list(Code.__members__) == [code.name for code in Code]


def test_no_stream_or_consumer_has_another_s_name() -> None:
    assert not _twice(str(stream.name) for stream in STREAMS)
    assert not _twice(f"{consumer.stream}.{consumer.name}" for consumer in CONSUMERS)


def test_no_subject_goes_into_two_streams() -> None:
    subjects = [subject.replace("*", "x").replace(">", "x") for stream in STREAMS for subject in stream.subjects or []]
    for subject in subjects:
        assert sum(_matches(subject, one) for stream in STREAMS for one in stream.subjects or []) == 1


@pytest.mark.parametrize("consumer", CONSUMERS, ids=lambda consumer: consumer.name)
def test_a_consumer_takes_what_its_stream_holds(consumer: msgspec.Struct) -> None:
    stream = next(stream for stream in STREAMS if stream.name == getattr(consumer, "stream", ""))
    for subject in getattr(consumer, "subjects", ()):
        assert any(_matches(subject.replace("*", "x").replace(">", "x"), one) for one in stream.subjects or [])


def test_one_consumer_alone_empties_a_work_queue() -> None:
    queues = {str(stream.name) for stream in STREAMS if stream.retention == RetentionPolicy.WORK_QUEUE}
    assert not _twice(consumer.stream for consumer in CONSUMERS if consumer.stream in queues)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_may_listen_to_another_s_replies(service: str) -> None:
    others = [subject for subject in access(service).subscribe if subject.startswith("_INBOX")]
    assert others == [f"_INBOX.{service}.>"]


def test_the_cluster_s_configuration_holds_references_and_no_password() -> None:
    text = for_a_cluster()
    assert all(f"password: $NATS_{user.upper()}_PASSWORD" in text for user in USERS)


@pytest.mark.parametrize("service", SERVICES)
def test_the_stack_tells_a_service_every_setting_that_has_no_default(service: str) -> None:
    if not (ROOT / "services" / service / "config.py").exists():
        assert service == "search"  # comes later
        return
    config = importlib.import_module(f"services.{service}.config").Config
    fields = msgspec.structs.fields(config)
    assert {field.name.upper() for field in fields if field.required} <= set(TOLD[service])
    assert set(TOLD[service]) <= {field.name.upper() for field in fields}
