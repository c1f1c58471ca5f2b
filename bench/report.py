"""What was measured, as a table and as JSON."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from bench.answers import WORKLOADS
from bench.load import Measure


class Cell(NamedTuple):
    """A workload at a number of clients."""

    workload: str
    clients: int


class Results:
    """Every measure, by cell and target; a cell's figure is the median of its rounds."""

    def __init__(self) -> None:
        self._rounds: dict[Cell, dict[str, list[Measure]]] = {}

    def add(self, cell: Cell, target: str, measure: Measure) -> None:
        """Add one round's measure."""
        self._rounds.setdefault(cell, {}).setdefault(target, []).append(measure)

    def median(self, cell: Cell, target: str) -> Measure | None:
        """The rounds' median, figure by figure; errors add up."""
        rounds = self._rounds.get(cell, {}).get(target)
        if not rounds:
            return None
        cpu = [one.cpu_us for one in rounds if one.cpu_us is not None]
        return Measure(
            requests=round(statistics.median(one.per_second for one in rounds)),
            seconds=1,
            p50_ms=statistics.median(one.p50_ms for one in rounds),
            p99_ms=statistics.median(one.p99_ms for one in rounds),
            errors=sum(one.errors for one in rounds),
            cpu_us=statistics.median(cpu) if cpu else None,
        )

    def table(self) -> str:
        """The medians, a block a workload, with the ratio of requests/s to the Go program's and to FastAPI's."""
        lines: list[str] = []
        figures = "".join(f"{title:>9}" for title in ("req/s", "p50 ms", "p99 ms", "CPU us"))
        head = f"{'clients':>9}  {'target':<10}{figures}{'x go':>8}{'x fastapi':>11}"
        for workload, title in WORKLOADS.items():
            cells = [cell for cell in self._rounds if cell.workload == workload]
            if cells:
                lines += ["", title, head]
                lines += [line for cell in cells for line in self._lines(cell)]
        return "\n".join(lines)

    def _lines(self, cell: Cell) -> Iterable[str]:
        for target in self._rounds[cell]:
            found = self.median(cell, target)
            if found:
                cpu = "-" if found.cpu_us is None else f"{found.cpu_us:.0f}"
                figures = f"{found.per_second:>9.0f}{found.p50_ms:>9.2f}{found.p99_ms:>9.2f}{cpu:>9}"
                ratios = f"{self._ratio(cell, found, 'go'):>8}{self._ratio(cell, found, 'fastapi'):>11}"
                wrong = f"  {found.errors} errors" if found.errors else ""
                yield f"{cell.clients:>9}  {target:<10}{figures}{ratios}{wrong}"

    def _ratio(self, cell: Cell, found: Measure, target: str) -> str:
        other = self.median(cell, target)
        return f"{found.per_second / other.per_second:.2f}" if other and other.per_second else "-"

    def save(self, file: Path, about: dict[str, object]) -> None:
        """Every round, for later comparison."""
        cells = [
            {"workload": WORKLOADS[cell.workload], "clients": cell.clients, "target": target, "rounds": found}
            for cell, targets in self._rounds.items()
            for target, measures in targets.items()
            if (found := [asdict(measure) for measure in measures])
        ]
        file.write_text(json.dumps({**about, "cells": cells}, indent=1) + "\n")
