import msgspec
import pytest

from libs.common.logs import BATCH_FORMAT, LogRecord
from services.logger.core import batches
from services.logger.core.batches import Part
from tests.logger.records import message, record, records


def fields(**changed: object) -> list[object]:
    """A record as a list, some of its fields replaced by whatever a broken gateway might send."""
    return list((msgspec.structs.asdict(record(1)) | changed).values())


def body(*entries: object, number: int = BATCH_FORMAT) -> bytes:
    return msgspec.msgpack.encode({"format": number, "gateway": "g", "records": entries})


def test_a_good_message_is_one_part_under_its_own_token() -> None:
    good = records(3)
    batch = batches.read(message(good))
    assert batch.refused == []
    assert [(list(part.records), part.token("id")) for part in batch.parts] == [(good, "id")]


def test_a_message_without_records_has_no_parts() -> None:
    assert batches.read(message([])) == ("gateway-1", [], [])


@pytest.mark.parametrize(
    "data",
    [b"", b"\xc1", b"not msgpack", msgspec.msgpack.encode([1]), msgspec.msgpack.encode({"format": 1}), body(number=2)],
)
def test_a_message_that_cannot_be_read_says_why(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"batch"):
        batches.read(data)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("text", "array"),
        ([], "length"),
        (fields(time_us="now"), "int"),
        (fields(time_us=0), "time"),
        (fields(time_us=2**62), "time"),
        (fields(request_id="17"), "request_id"),
        (fields(request_id="0" * 36), "request_id"),
        (fields(project=2**63), "project"),
        (fields(status=0), "status"),
        (fields(status=70_000), "status"),
        (fields(duration_us=-1), "negative"),
        (fields(rows=2**63), "63 bits"),
        (fields(columns="id"), "array"),
        (fields(operation=b"\xff"), "str"),
    ],
)
def test_a_record_that_no_column_can_hold_is_refused_and_its_neighbours_are_kept(entry: object, reason: str) -> None:
    batch = batches.read(body(fields(), fields(), entry, fields()))
    assert [(part.start, len(part.records), part.token("id")) for part in batch.parts] == [
        (0, 2, "id/0-2"),
        (3, 1, "id/3-4"),
    ]
    assert [refused.position for refused in batch.refused] == [2]
    assert reason in batch.refused[0].reason


def test_fields_that_a_later_gateway_adds_are_ignored() -> None:
    batch = batches.read(body([*fields(), "later"]))
    assert len(batch.parts[0].records) == 1


def test_halves_hold_the_same_records_in_order_under_tokens_of_their_own() -> None:
    whole = Part(0, records(5), whole=True)
    first, second = whole.halves()
    assert [*first.records, *second.records] == whole.records
    assert {part.token("id") for part in (whole, first, second, *second.halves())} == {
        "id",
        "id/0-2",
        "id/2-5",
        "id/2-3",
        "id/3-5",
    }


def test_a_refused_record_travels_as_a_batch_that_can_be_read_again() -> None:
    good = record(1)
    again = batches.read(batches.envelope("gateway-1", batches.encoded(good)))
    assert list(again.parts[0].records) == [good]
    assert isinstance(again.parts[0].records[0], LogRecord)
