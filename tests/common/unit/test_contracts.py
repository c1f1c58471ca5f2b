"""What the services agreed on: events, subjects, streams, who may use what, snapshots and log records."""

import re
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.js.api import DiscardPolicy, RetentionPolicy

from libs.common import access, events, logs, schema, streams, subjects
from libs.common.events import CloudEvent, EventData
from libs.common.ids import ProjectId, new_id
from libs.common.schema import Column, Database, Schema, Table

EVENTS = EventData.__subclasses__()
SECRET = re.compile("password|secret|token|url|address|dsn|hash", re.IGNORECASE)


@pytest.mark.parametrize("data", EVENTS)
def test_an_event_is_named_as_its_subject_and_holds_no_secret(data: type[EventData]) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z]+", data.kind)
    assert events.subject_of(ProjectId(7), data) == f"dbify.events.7.{data.kind}"
    assert events.type_of(data) == f"dev.dbify.{data.kind}"
    assert events.schema_of(data).endswith(f"{data.kind}/v{data.major}")
    assert not [field.name for field in msgspec.structs.fields(data) if SECRET.search(field.name)]


def test_no_two_events_have_the_same_kind() -> None:
    assert len({data.kind for data in EVENTS}) == len(EVENTS)


def test_an_event_of_a_newer_version_can_be_read() -> None:
    event = CloudEvent(
        "id", "dbify/gateway", "t", "s", "2026-01-01T00:00:00Z", "d", ProjectId(1), 1, events.ProjectCreated("n")
    )
    sent = msgspec.json.decode(msgspec.json.encode(event))
    sent["data"]["more"] = 1
    sent["extension"] = "x"
    assert msgspec.json.decode(msgspec.json.encode(sent), type=CloudEvent[events.ProjectCreated]) == event


@given(st.text(min_size=1))
def test_any_name_is_one_token_of_a_subject_and_no_two_are_the_same(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    token = subjects.token(name)
    assert re.fullmatch(r"[A-Za-z0-9_%-]+", token)
    assert subjects.token(name + "x") != token


@given(st.text(st.characters(max_codepoint=255), max_size=5), st.text(st.characters(max_codepoint=255), max_size=5))
def test_different_names_are_different_tokens(one: str, other: str) -> None:
    assert (subjects.token(one) == subjects.token(other)) == (one == other)


def matches(pattern: str, subject: str) -> bool:
    expected, parts = pattern.split("."), subject.split(".")
    for position, part in enumerate(expected):
        if part == ">":
            return len(parts) > position
        if position >= len(parts) or part not in ("*", parts[position]):
            return False
    return len(expected) == len(parts)


def allowed(patterns: Iterable[str], subject: str) -> bool:
    return any(matches(pattern, subject) for pattern in patterns)


def test_every_consumer_takes_subjects_of_its_stream_and_belongs_to_a_service() -> None:
    by_name = {stream.name: stream for stream in streams.STREAMS}
    for consumer in streams.CONSUMERS:
        assert consumer.service in access.SERVICES
        for subject in consumer.subjects:
            assert allowed(by_name[consumer.stream].subjects or [], subject.replace("*", "x").replace(">", "x.y"))
    assert len({(consumer.stream, consumer.name) for consumer in streams.CONSUMERS}) == len(streams.CONSUMERS)


def test_the_log_queue_refuses_rather_than_forgets() -> None:
    assert streams.LOGS.retention is RetentionPolicy.WORK_QUEUE
    assert streams.LOGS.discard is DiscardPolicy.NEW
    assert (streams.LOGS.max_msg_size or 0) > logs.MAX_BATCH_BYTES


def test_a_consumer_never_gives_up_by_itself() -> None:
    assert {consumer.config().max_deliver for consumer in streams.CONSUMERS} == {-1}


@pytest.mark.parametrize("service", access.SERVICES)
def test_a_service_may_do_its_part_and_no_more(service: str) -> None:
    may = access.access(service)
    assert allowed(may.subscribe, subjects.rpc(service, "method"))
    assert allowed(may.subscribe, f"{access.inbox(service)}.x.y")
    others = [other for other in access.SERVICES if other != service]
    for other in others:
        assert not allowed(may.subscribe, f"{access.inbox(other)}.x")
        assert not allowed(may.subscribe, subjects.rpc(other, "database"))
        assert not allowed(may.publish, f"{access.inbox(other)}.x")
    for forbidden in ("$JS.API.STREAM.DELETE.LOGS", "$JS.API.CONSUMER.CREATE.LOGS", "$JS.API.STREAM.PURGE.EVENTS"):
        assert not allowed(may.publish, forbidden)
    for consumer in streams.CONSUMERS:
        own = consumer.service == service
        name = f"{consumer.stream}.{consumer.name}"
        assert allowed(may.publish, f"$JS.API.CONSUMER.MSG.NEXT.{name}") == own
        assert allowed(may.publish, f"$JS.ACK.{name}.1.2.3.4.5") == own
        assert allowed(may.publish, subjects.dead(consumer.stream, consumer.name)) == own


def test_only_the_gateway_publishes_logs_and_only_the_introspector_schema_events() -> None:
    publish = {service: access.access(service).publish for service in access.SERVICES}
    assert [name for name, may in publish.items() if allowed(may, subjects.logs("a"))] == ["gateway"]
    changed = events.subject_of(ProjectId(1), events.SchemaChanged)
    assert [name for name, may in publish.items() if allowed(may, changed)] == ["introspector"]


def snapshot(tables: int) -> Schema:
    columns = tuple(Column(number, f"column_{number}", "text", "text", nullable=True) for number in range(1, 13))
    return Schema(
        schema.FORMAT, 1, Database("7", 1, 5, "app", 180004), ("public",), ("public",),
        tuple(Table(number, "public", f"table_{number}", "table", columns) for number in range(tables)), (), (),
    )  # fmt: skip


def test_a_snapshot_of_1500_tables_is_the_same_after_the_way() -> None:
    whole = snapshot(1500)
    packed = schema.pack(whole)
    assert len(packed) < 500_000
    assert schema.unpack(packed) == whole


@pytest.mark.parametrize("data", [b"", b"junk", schema.pack(snapshot(3))[:-9], schema.pack(snapshot(3))[::-1]])
def test_what_is_not_a_snapshot_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        schema.unpack(data)


def test_a_snapshot_of_another_format_is_not_read() -> None:
    other = msgspec.structs.replace(snapshot(1), format=schema.FORMAT + 1)
    with pytest.raises(ValueError, match="format"):
        schema.unpack(schema.pack(other))


def test_a_small_packet_cannot_unfold_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = schema.pack(snapshot(1500))
    monkeypatch.setattr(schema, "MAX_BYTES", 10_000)
    with pytest.raises(ValueError, match="snapshot"):
        schema.unpack(packed)


def test_a_batch_of_log_records_is_the_same_after_the_way() -> None:
    record = logs.LogRecord(
        1, new_id(), ProjectId(7), "k", "", "read", "public.book", ("id",), 200, "", 900, 400, 1, 64,
        coalesced=False, client="loopback",
    )  # fmt: skip
    batch = logs.LogBatch(logs.BATCH_FORMAT, "gateway-1", (record,) * logs.MAX_RECORDS)
    sent = msgspec.msgpack.encode(batch)
    assert msgspec.msgpack.decode(sent, type=logs.LogBatch) == batch
    assert len(sent) < logs.MAX_BATCH_BYTES


def test_ids_are_sorted_by_the_time_they_were_made() -> None:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(set(made))
