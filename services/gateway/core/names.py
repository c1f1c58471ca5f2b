"""What a misspelt name may have meant."""

import heapq
import itertools
from collections.abc import Iterable
from typing import Final

from libs.common.errors import did_you_mean
from services.gateway.core.json import shown

# Compared letter by letter; over 1,500 tables that would take 250 ms and hold up everybody else.
_COMPARED: Final = 20


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean "X"?` for the nearest known name, looked for among those that share most pairs of letters."""
    cut = shown(name)
    wanted = _pairs(cut)

    def likeness(candidate: str) -> float:
        pairs = _pairs(candidate)
        return len(wanted & pairs) / (len(wanted) + len(pairs) + 1)

    return did_you_mean(cut, heapq.nlargest(_COMPARED, known, key=likeness))


def _pairs(name: str) -> set[tuple[str, str]]:
    folded = name.casefold()
    return set(itertools.pairwise(folded))
