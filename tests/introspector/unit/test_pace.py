"""How soon to look again."""

import pytest

from services.introspector.core.pace import LONGEST_S, SHORTEST_S, WATCHED_S, Outcome, next_interval_s


@pytest.mark.parametrize(
    ("interval_s", "outcome", "watched", "expected_s"),
    [
        (0, "same", False, 1.5),
        (4, "changed", False, SHORTEST_S),
        (2, "same", False, 3),
        (4, "same", False, LONGEST_S),
        (60, "same", False, LONGEST_S),
        (0, "failed", False, 2),
        (5, "failed", True, 10),
        (60, "failed", False, 60),
        (1, "same", True, WATCHED_S),
        (1, "changed", True, WATCHED_S),
    ],
)
def test_what_changes_is_looked_at_sooner_and_what_fails_later(
    interval_s: float, outcome: Outcome, *, watched: bool, expected_s: float
) -> None:
    assert next_interval_s(interval_s, outcome, watched=watched) == expected_s
