"""Orders to a running stack: `python -m stack stop|start|restart PART`, handed over as files in `run/orders`."""

import asyncio
import time
from pathlib import Path
from typing import Literal, get_args

Verb = Literal["stop", "start", "restart", "kill"]
VERBS: tuple[Verb, ...] = get_args(Verb)
_POLL_S = 0.05


class OrderError(Exception):
    """The order was not carried out; the message says why."""


def clear(home: Path) -> None:
    """Forget the orders that an earlier run did not get to."""
    for file in _folder(home).glob("*"):
        file.unlink()


def pending(home: Path) -> list[tuple[str, Verb, Path]]:
    """The orders given: part, verb, and the file to answer with `answer`."""
    found: list[tuple[str, Verb, Path]] = []
    for file in sorted(_folder(home).glob("*.order")):
        part, _, word = file.stem.rpartition(".")
        found += [(part, verb, file) for verb in VERBS if verb == word]
    return found


def answer(order: Path, problem: str = "") -> None:
    """Say that an order was carried out, or why not."""
    order.with_suffix(".answer").write_text(problem)
    order.unlink()


async def give(home: Path, part: str, verb: Verb, limit_s: float = 60) -> None:
    """Give an order and wait until it is carried out.

    Raises:
        OrderError: If it was not.
    """
    folder = _folder(home)
    folder.mkdir(parents=True, exist_ok=True)
    order = folder / f"{part}.{verb}.order"
    result = order.with_suffix(".answer")
    result.unlink(missing_ok=True)
    order.touch()
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if not order.exists() and result.exists():
            problem = result.read_text()
            result.unlink()
            if problem:
                raise OrderError(problem)
            return
        await asyncio.sleep(_POLL_S)
    order.unlink(missing_ok=True)
    raise OrderError(f"no answer within {limit_s:.0f} s: does the stack run?")


def _folder(home: Path) -> Path:
    return home / "run" / "orders"
