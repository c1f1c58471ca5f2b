"""What the logger answers: pages of log entries, and figures."""

from collections.abc import Callable, Sequence
from typing import Protocol

from libs.common.logs import (
    Analytics,
    AnalyticsFilter,
    Caller,
    Callers,
    CallersQuestion,
    LogEntry,
    LogFilter,
    LogPage,
    LogRecord,
)
from services.logger.core import answers, questions
from services.logger.core.answers import Report, Use
from services.logger.core.questions import AnalyticsQuestion, LogQuestion, Position, UseQuestion

MAX_CALLERS = 100


class Entries(Protocol):
    """Stored records, newest first."""

    async def find(self, question: LogQuestion, limit: int) -> Sequence[LogRecord]:
        """The first `limit` records that answer the question.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT.
        """


class Reports(Protocol):
    """Figures over stored records."""

    async def report(self, question: AnalyticsQuestion) -> Report:
        """Count and measure.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT.
        """


class Uses(Protocol):
    """Who used what."""

    async def find(self, question: UseQuestion, limit: int) -> Sequence[Use]:
        """The keys that used it most.

        Raises:
            DbifyError: SERVICE_UNAVAILABLE or SERVICE_TIMEOUT.
        """


class Logs:
    """The method `logs`."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries

    async def __call__(self, asked: LogFilter) -> LogPage:
        """A page; one record more than it holds is looked for, to know whether another page follows."""
        question = questions.logs(asked)
        found = await self._entries.find(question, question.limit + 1)
        page = found[: question.limit]
        more = len(found) > len(page)
        last = Position(page[-1].time_us, page[-1].request_id) if more else None
        return LogPage([_entry(record) for record in page], questions.cursor(last) if last else None)


class Figures:
    """The method `analytics`."""

    def __init__(self, reports: Reports, now_us: Callable[[], int]) -> None:
        self._reports = reports
        self._now_us = now_us

    async def __call__(self, asked: AnalyticsFilter) -> Analytics:
        """Totals, the series and the breakdowns."""
        question = questions.analytics(asked, self._now_us())
        return answers.analytics(question, await self._reports.report(question))


class WhoCalled:
    """The method `callers`."""

    def __init__(self, uses: Uses, now_us: Callable[[], int]) -> None:
        self._uses = uses
        self._now_us = now_us

    async def __call__(self, asked: CallersQuestion) -> Callers:
        """The keys that used tables and columns of late."""
        found = await self._uses.find(questions.callers(asked, self._now_us()), MAX_CALLERS)
        return Callers([Caller(it.key, it.requests, it.named, questions.rfc3339(it.last_us)) for it in found])


def _entry(record: LogRecord) -> LogEntry:
    return LogEntry(
        request_id=record.request_id,
        time=questions.rfc3339(record.time_us),
        operation=record.operation,
        table_name=record.table,
        columns=list(record.columns),
        status=record.status,
        error_code=record.error or None,
        duration_ms=record.duration_us / 1000,
        database_ms=record.database_us / 1000,
        rows=record.rows,
        bytes=record.size_bytes,
        coalesced=record.coalesced,
        key_id=record.key,
        role=record.role,
        client=record.client,
    )
