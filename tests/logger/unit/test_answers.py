from libs.common.ids import ProjectId
from libs.common.logs import AnalyticsFilter
from services.logger.core import answers, questions
from services.logger.core.answers import MAX_TABLES, NOTHING, Figures, Report

FIGURES = Figures(requests=4, errors=1, duration_us=10_000, percentiles_us=(2_000.0, 4_500.0, 5_000.5))
ASKED = AnalyticsFilter(ProjectId(4), "2026-01-01T12:00:00Z", "2026-01-01T12:03:00Z", step_s=60)
QUESTION = questions.analytics(ASKED, 0)


def test_times_are_answered_in_milliseconds() -> None:
    answer = answers.analytics(QUESTION, Report(FIGURES, {}, {}, {}))
    assert (answer.requests, answer.errors) == (4, 1)
    assert (answer.average_ms, answer.p50_ms, answer.p95_ms, answer.p99_ms) == (2.5, 2.0, 4.5, 5.0005)


def test_a_bucket_in_which_nothing_happened_has_zeros_and_nulls() -> None:
    second = QUESTION.buckets()[1]
    series = answers.analytics(QUESTION, Report(FIGURES, {second: FIGURES}, {}, {})).series
    assert [(bucket.time, bucket.requests, bucket.p50_ms) for bucket in series] == [
        ("2026-01-01T12:00:00Z", 0, None),
        ("2026-01-01T12:01:00Z", 4, 2.0),
        ("2026-01-01T12:02:00Z", 0, None),
    ]


def test_a_project_without_requests_has_zeros_and_nulls() -> None:
    answer = answers.analytics(QUESTION, Report(NOTHING, {}, {}, {}))
    assert (answer.requests, answer.errors, answer.average_ms, answer.p99_ms) == (0, 0, None, None)
    assert (answer.by_table, answer.by_operation) == ([], [])


def test_only_the_busiest_tables_are_named() -> None:
    tables = {f"t{number:03}": FIGURES._replace(requests=number) for number in range(1, 100)}
    answer = answers.analytics(QUESTION, Report(FIGURES, {}, tables, {}))
    assert [table.table_name for table in answer.by_table] == [
        f"t{number:03}" for number in range(99, 99 - MAX_TABLES, -1)
    ]
