"""What the logger is asked, checked and in the units it is stored in."""

import base64
import binascii
import re
import uuid
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from libs.common.errors import Code, DbifyError
from libs.common.ids import ProjectId
from libs.common.logs import AnalyticsFilter, CallersQuestion, ColumnUse, LogFilter

MAX_PAGE = 1_000
MAX_BUCKETS = 1_500
# A series of some hundred points fills a screen; the finest of these steps that stays below is taken.
_POINTS = 300
_STEPS_S = (60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 604_800)
_MINUTE_S = 60
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What DateTime64(6) can hold; a filter outside means "without that bound".
_EARLIEST_US = 0
_LATEST_US = 7_258_118_400_000_000
_MAX_TEXT = 512
# Of a question about who used something.
_MAX_DAYS = 90
_MAX_NAMES = 5_000
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


class Position(NamedTuple):
    """Where a page ended: the order of log entries is by time, then request id, newest first."""

    time_us: int
    request_id: str


class LogQuestion(NamedTuple):
    """A checked `LogFilter`. Times are microseconds; `start_us` is included, `end_us` is not."""

    project: ProjectId
    start_us: int
    end_us: int
    table_name: str | None
    operation: str | None
    statuses: tuple[int, int]
    error_code: str | None
    key_id: str | None
    request_id: str | None
    limit: int
    after: Position | None


class AnalyticsQuestion(NamedTuple):
    """A checked `AnalyticsFilter`. Buckets start at multiples of `step_s` since 1970, the first not after the start."""

    project: ProjectId
    start_us: int
    end_us: int
    table_name: str | None
    operation: str | None
    step_s: int

    def buckets(self) -> range:
        """When each bucket of the series starts, in seconds since 1970."""
        first = self.start_us // _SECOND_US // self.step_s * self.step_s
        return range(first, -(-self.end_us // _SECOND_US), self.step_s)


class UseQuestion(NamedTuple):
    """A checked `CallersQuestion`."""

    project: ProjectId
    start_us: int
    tables: tuple[str, ...]
    columns: tuple[ColumnUse, ...]


def callers(asked: CallersQuestion, now_us: int) -> UseQuestion:
    """Check a question about who used something.

    Raises:
        DbifyError: INVALID_REQUEST, naming the field.
    """
    if not 1 <= asked.days <= _MAX_DAYS:
        raise _invalid("days", f"is between 1 and {_MAX_DAYS}")
    if len(asked.tables) + len(asked.columns) > _MAX_NAMES:
        raise _invalid("columns", f"has with the tables at most {_MAX_NAMES} entries")
    start_us = max(now_us - asked.days * _DAY_US, _EARLIEST_US)
    return UseQuestion(_project(asked.project_id), start_us, tuple(asked.tables), tuple(asked.columns))


def logs(asked: LogFilter) -> LogQuestion:
    """Check a filter of log entries.

    Raises:
        DbifyError: INVALID_REQUEST, naming the field.
    """
    start_us, end_us = _span(asked.from_time, asked.to_time, _EARLIEST_US, _LATEST_US)
    if not 1 <= asked.limit <= MAX_PAGE:
        raise _invalid("limit", f"is between 1 and {MAX_PAGE}")
    return LogQuestion(
        project=_project(asked.project_id),
        start_us=start_us,
        end_us=end_us,
        table_name=_text(asked.table_name, "tableName"),
        operation=_text(asked.operation, "operation"),
        statuses=_statuses(asked),
        error_code=_text(asked.error_code, "errorCode"),
        key_id=_text(asked.key_id, "keyId"),
        request_id=_request_id(asked.request_id),
        limit=asked.limit,
        after=None if asked.after is None else _position(asked.after),
    )


def analytics(asked: AnalyticsFilter, now_us: int) -> AnalyticsQuestion:
    """Check a filter of analytics; without times it means the 24 hours before `now_us`.

    Raises:
        DbifyError: INVALID_REQUEST, naming the field.
    """
    # The present moment is part of "until now", and ends are not included.
    end_us = now_us + 1 if asked.to_time is None else _instant(asked.to_time, "to")
    start_us, end_us = _span(asked.from_time, asked.to_time, end_us - _DAY_US, end_us)
    step_s = _step(end_us - start_us) if asked.step_s is None else asked.step_s
    if step_s < _MINUTE_S or step_s % _MINUTE_S or step_s > _LATEST_US // _SECOND_US:
        raise _invalid("step", "is a multiple of 60 seconds")
    question = AnalyticsQuestion(
        project=_project(asked.project_id),
        start_us=start_us,
        end_us=end_us,
        table_name=_text(asked.table_name, "tableName"),
        operation=_text(asked.operation, "operation"),
        step_s=step_s,
    )
    if len(question.buckets()) > MAX_BUCKETS:
        raise _invalid("step", f"makes more than {MAX_BUCKETS} buckets of this time span: ask for a longer step")
    return question


def cursor(position: Position) -> str:
    """An opaque text of a position."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def rfc3339(time_us: int) -> str:
    """A time as it is answered: RFC 3339 in UTC, with microseconds where it has any."""
    whole_s, micros = divmod(time_us, _SECOND_US)
    text = datetime.fromtimestamp(whole_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{micros:06d}Z" if micros else f"{text}Z"


def _position(text: str) -> Position:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        position = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=Position)
        uuid.UUID(position.request_id)
    except (ValueError, binascii.Error, msgspec.MsgspecError) as error:
        raise _invalid("after", "is the nextCursor of the page before") from error
    if not _EARLIEST_US <= position.time_us <= _LATEST_US:
        raise _invalid("after", "is the nextCursor of the page before")
    return position


def _project(project: ProjectId) -> ProjectId:
    if not 0 < project < 2**63:
        raise _invalid("projectId", "is a project's number")
    return project


def _span(from_time: str | None, to_time: str | None, earliest_us: int, latest_us: int) -> tuple[int, int]:
    start_us = earliest_us if from_time is None else _instant(from_time, "from")
    end_us = latest_us if to_time is None else _instant(to_time, "to")
    if start_us >= end_us:
        raise _invalid("from", "is before `to`")
    return start_us, end_us


def _instant(text: str, field: str) -> int:
    """Microseconds since 1970; integer arithmetic, as floats lose microseconds."""
    rule = "is a time in RFC 3339 with its zone, such as 2026-01-31T00:00:00Z"
    if not _RFC3339.fullmatch(text):
        raise _invalid(field, rule)
    try:
        since = msgspec.convert(text, datetime) - _EPOCH
    except (OverflowError, msgspec.ValidationError) as error:
        raise _invalid(field, rule) from error
    return min(max((since.days * 86_400 + since.seconds) * _SECOND_US + since.microseconds, _EARLIEST_US), _LATEST_US)


def _step(span_us: int) -> int:
    for step_s in _STEPS_S:
        if span_us <= step_s * _SECOND_US * _POINTS:
            return step_s
    days = -(-span_us // (_POINTS * _DAY_US))
    return days * _DAY_US // _SECOND_US


def _text(value: str | None, field: str) -> str | None:
    if value is not None and len(value) > _MAX_TEXT:
        raise _invalid(field, f"has at most {_MAX_TEXT} characters")
    return value


def _request_id(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError as error:
        raise _invalid("requestId", "is a UUID, as in the X-Request-Id header") from error


def _statuses(asked: LogFilter) -> tuple[int, int]:
    """The statuses asked for, as a half-open range."""
    low, high = 0, 1_000
    if asked.status_class is not None:
        if not 1 <= asked.status_class <= 5:  # noqa: PLR2004 - HTTP has the classes 1xx to 5xx
            raise _invalid("statusClass", "is between 1 and 5, 4 meaning 400 to 499")
        low, high = asked.status_class * 100, asked.status_class * 100 + 100
    if asked.status is not None:
        if not 100 <= asked.status < 1_000:  # noqa: PLR2004 - HTTP statuses have three digits
            raise _invalid("status", "is an HTTP status of three digits")
        low, high = max(low, asked.status), min(high, asked.status + 1)
    return low, high


def _invalid(field: str, rule: str) -> DbifyError:
    return DbifyError(Code.INVALID_REQUEST, f"`{field}` {rule}.", {"field": field})
