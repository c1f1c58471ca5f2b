import pytest
from hypothesis import given
from hypothesis import strategies as some

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import AnalyticsFilter, LogFilter
from services.logger.core import questions
from services.logger.core.questions import MAX_BUCKETS, Position

PROJECT = ProjectId(4)
ID = "0192f0c1-7f6e-7cc3-98c4-dc0c0c07398f"
NOON_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
HOUR_US = 3_600_000_000


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"project_id": 0}, "projectId"),
        ({"project_id": -4}, "projectId"),
        ({"project_id": 2**64}, "projectId"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"from_time": "yesterday"}, "from"),
        ({"from_time": ""}, "from"),
        ({"from_time": "2026-01-01"}, "from"),
        ({"from_time": "2026-01-01T00:00:00"}, "from"),
        ({"from_time": "2026-13-01T00:00:00Z"}, "from"),
        ({"to_time": "1767268800"}, "to"),
        ({"from_time": "2026-01-02T00:00:00Z", "to_time": "2026-01-01T00:00:00Z"}, "from"),
        ({"from_time": "2026-01-01T00:00:00Z", "to_time": "2026-01-01T00:00:00Z"}, "from"),
        ({"status": 99}, "status"),
        ({"status": 1000}, "status"),
        ({"status_class": 0}, "statusClass"),
        ({"status_class": 6}, "statusClass"),
        ({"request_id": "17"}, "requestId"),
        ({"table_name": "t" * 513}, "tableName"),
        ({"after": "%%%"}, "after"),
        ({"after": "é"}, "after"),
        ({"after": "WzEsMl0"}, "after"),
        ({"after": "WzEsIngiXQ"}, "after"),
    ],
)
def test_a_filter_of_logs_that_makes_no_sense_is_refused_by_name(fields: dict[str, object], named: str) -> None:
    with pytest.raises(DbifyError) as caught:
        questions.logs(LogFilter(**({"project_id": PROJECT} | fields)))  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.details) == (Code.INVALID_REQUEST, {"field": named})


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2026-01-01T12:00:00Z", NOON_US),
        ("2026-01-01T14:00:00+02:00", NOON_US),
        ("2026-01-01T12:00:00.000001Z", NOON_US + 1),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_read_to_the_microsecond(text: str, time_us: int) -> None:
    assert questions.logs(LogFilter(PROJECT, from_time=text)).start_us == time_us


@pytest.mark.parametrize(
    ("status", "status_class", "statuses"),
    [
        (None, None, (0, 1000)),
        (404, None, (404, 405)),
        (None, 4, (400, 500)),
        (404, 4, (404, 405)),
        (404, 5, (500, 405)),
    ],
)
def test_a_status_and_a_class_narrow_each_other(
    status: int | None, status_class: int | None, statuses: tuple[int, int]
) -> None:
    assert questions.logs(LogFilter(PROJECT, status=status, status_class=status_class)).statuses == statuses


@given(some.integers(0, 7_258_118_400_000_000), some.uuids())
def test_a_cursor_names_the_position_it_was_made_of(time_us: int, request_id: object) -> None:
    position = Position(time_us, str(request_id))
    assert questions.logs(LogFilter(PROJECT, after=questions.cursor(position))).after == position


@given(some.text())
def test_any_text_is_a_cursor_or_is_refused(text: str) -> None:
    code = Code.INVALID_REQUEST
    try:
        questions.logs(LogFilter(PROJECT, after=text))
    except DbifyError as error:
        code = error.code
    assert code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("time_us", "text"),
    [(NOON_US, "2026-01-01T12:00:00Z"), (NOON_US + 1, "2026-01-01T12:00:00.000001Z"), (0, "1970-01-01T00:00:00Z")],
)
def test_times_are_written_in_utc(time_us: int, text: str) -> None:
    assert questions.rfc3339(time_us) == text


def test_without_times_the_last_day_is_meant_up_to_and_with_this_moment() -> None:
    question = questions.analytics(AnalyticsFilter(PROJECT), NOON_US)
    assert (question.start_us, question.end_us) == (NOON_US + 1 - 24 * HOUR_US, NOON_US + 1)


def test_without_a_start_the_day_before_the_end_is_meant() -> None:
    question = questions.analytics(AnalyticsFilter(PROJECT, to_time="2025-06-01T00:00:00Z"), NOON_US)
    assert question.end_us - question.start_us == 24 * HOUR_US


def test_buckets_start_at_multiples_of_the_step_and_cover_the_span() -> None:
    asked = AnalyticsFilter(PROJECT, "2026-01-01T11:59:30Z", "2026-01-01T12:02:00Z", step_s=60)
    noon_s = NOON_US // 1_000_000
    assert list(questions.analytics(asked, NOON_US).buckets()) == [noon_s - 60, noon_s, noon_s + 60]


@given(some.integers(0, 7_258_118_399), some.integers(1, 7_258_118_400))
def test_the_chosen_step_keeps_the_series_short(start_s: int, length_s: int) -> None:
    end_us = min((start_s + length_s) * 1_000_000, 7_258_118_400_000_000)
    asked = AnalyticsFilter(
        PROJECT, from_time=questions.rfc3339(start_s * 1_000_000), to_time=questions.rfc3339(end_us)
    )
    question = questions.analytics(asked, NOON_US)
    assert question.step_s % 60 == 0
    assert 1 <= len(question.buckets()) <= 302


@pytest.mark.parametrize(
    "fields",
    [
        {"step_s": 0},
        {"step_s": -60},
        {"step_s": 90},
        {"step_s": 60, "from_time": "2025-12-30T00:00:00Z"},
        {"step_s": 60 * 10**15},
        {"project_id": 0},
        {"from_time": "2027-01-01T00:00:00Z"},
    ],
)
def test_a_filter_of_analytics_that_makes_no_sense_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(DbifyError) as caught:
        questions.analytics(AnalyticsFilter(**({"project_id": PROJECT} | fields)), NOON_US)  # type: ignore[arg-type]
    assert caught.value.code is Code.INVALID_REQUEST


def test_the_longest_series_is_allowed() -> None:
    asked = AnalyticsFilter(PROJECT, "2026-01-01T00:00:00Z", "2026-01-02T01:00:00Z", step_s=60)
    assert len(questions.analytics(asked, NOON_US).buckets()) == MAX_BUCKETS
