"""How soon to look again: soon where things change, later where they do not, seldom where looking fails."""

from typing import Final, Literal

SHORTEST_S: Final = 1.0
# With the look itself and the event's way this keeps within 10 s from a change to its event.
LONGEST_S: Final = 5.0
# The database tells by itself; this is for what it cannot tell, such as a role's new rights.
WATCHED_S: Final = 60.0
FAILING_S: Final = 60.0
_SLOWER: Final = 1.5

Outcome = Literal["changed", "same", "failed"]


def next_interval_s(interval_s: float, outcome: Outcome, *, watched: bool) -> float:
    """Seconds until the next look at a project in use.

    Args:
        interval_s: Seconds between the last two.
        outcome: What came of the last one.
        watched: Whether the database tells of changes by itself.
    """
    if outcome == "failed":
        return min(max(interval_s, SHORTEST_S) * 2, FAILING_S)
    if watched:
        return WATCHED_S
    if outcome == "changed":
        return SHORTEST_S
    return min(max(interval_s, SHORTEST_S) * _SLOWER, LONGEST_S)
