"""From sums to the figures that are answered."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from libs.common.logs import Analytics, Bucket, ByOperation, ByTable
from services.logger.core.questions import AnalyticsQuestion, rfc3339

MAX_TABLES = 50
_SECOND_US = 1_000_000


class Figures(NamedTuple):
    """Sums and percentiles of some requests; times are microseconds."""

    requests: int
    errors: int
    duration_us: int
    percentiles_us: Sequence[float]


NOTHING = Figures(0, 0, 0, ())


class Report(NamedTuple):
    """All that an analytics question needs from the store; `buckets` by their start in seconds since 1970."""

    total: Figures
    buckets: Mapping[int, Figures]
    tables: Mapping[str, Figures]
    operations: Mapping[str, Figures]


class Use(NamedTuple):
    """How often a key used what was asked about, how often by name, and when last, in microseconds."""

    key: str
    requests: int
    named: int
    last_us: int


class _Totals(NamedTuple):
    requests: int
    errors: int
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


def analytics(question: AnalyticsQuestion, report: Report) -> Analytics:
    """The answer: a bucket for every step, also where nothing happened; the busiest tables and all operations first."""
    return Analytics(
        **_totals(report.total)._asdict(),
        series=[
            Bucket(time=rfc3339(start_s * _SECOND_US), **_totals(report.buckets.get(start_s, NOTHING))._asdict())
            for start_s in question.buckets()
        ],
        by_table=[
            ByTable(table_name=name, **_totals(figures)._asdict())
            for name, figures in _busiest(report.tables.items())[:MAX_TABLES]
        ],
        by_operation=[
            ByOperation(operation=name, **_totals(figures)._asdict())
            for name, figures in _busiest(report.operations.items())
        ],
    )


def _busiest(groups: Iterable[tuple[str, Figures]]) -> list[tuple[str, Figures]]:
    return sorted(groups, key=lambda group: (-group[1].requests, group[0]))


def _totals(figures: Figures) -> _Totals:
    if not figures.requests:
        return _Totals(0, 0, None, None, None, None)
    p50_ms, p95_ms, p99_ms = (value / 1000 for value in figures.percentiles_us)
    average_ms = figures.duration_us / figures.requests / 1000
    return _Totals(figures.requests, figures.errors, average_ms, p50_ms, p95_ms, p99_ms)
