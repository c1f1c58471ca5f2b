"""`python -m bench`: the gateway against what a developer would otherwise write, on the same database, in turns."""

import argparse
import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil

from bench import targets
from bench.answers import WORKLOADS, WrongAnswer, check
from bench.load import pgbench, wrk, wrk_installed
from bench.report import Cell, Results
from bench.targets import ROOT, Missing, Target
from stack.children import Child, StartError
from stack.embedded import Postgres
from stack.run import locked
from stack.settings import UsageError

HOME = Path(os.environ.get("DBIFY_HOME") or ".dbify").resolve() / "bench"
Start = Callable[[Path, str, list[Child]], Awaitable[Target]]
STARTS: dict[str, Start] = {"gateway": targets.gateway, "go": targets.go, "fastapi": targets.fastapi}
PGBENCH = "pgbench"


def arguments() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of 2 s a cell: for a look, not for a claim")
    parser.add_argument("--rounds", type=int, help="how often each cell is measured (3)")
    parser.add_argument("--seconds", type=int, help="how long a cell is measured (5)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 32, 128])
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS), help=_listed())
    parser.add_argument("--targets", nargs="+", choices=[*STARTS, PGBENCH], default=[*STARTS, PGBENCH])
    chosen = parser.parse_args()
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 3)
    chosen.seconds = chosen.seconds or (2 if chosen.quick else 5)
    return chosen


def _listed() -> str:
    return ", ".join(f"{letter}: {title}" for letter, title in WORKLOADS.items())


@asynccontextmanager
async def shop() -> AsyncIterator[str]:
    """The URL of a fresh copy of the measured database, on a Postgres of the benchmark's own."""
    async with await Postgres.start(HOME, password="bench") as server:  # noqa: S106 - on 127.0.0.1, with made-up rows
        admin = await asyncpg.connect(server.url())
        try:
            await admin.execute("DROP DATABASE IF EXISTS bench WITH (FORCE)")
            if not await admin.fetchval("SELECT count(*) FROM pg_database WHERE datname = 'shop'"):
                await _make(server, admin)
            await admin.execute("CREATE DATABASE bench TEMPLATE shop")
        finally:
            await admin.close()
        yield server.url("bench")


async def _make(server: Postgres, admin: asyncpg.Connection) -> None:
    """Fill a database under another name, and give it its own once it is whole."""
    print("making the shop: 100,000 customers, 300,000 orders, 1,000,000 items, once ...", flush=True)
    await admin.execute("DROP DATABASE IF EXISTS half")
    await admin.execute("CREATE DATABASE half")
    await server.execute((ROOT / "schema.sql").read_text(), "VACUUM ANALYZE", database="half")
    await admin.execute("ALTER DATABASE half RENAME TO shop")


@asynccontextmanager
async def running(names: list[str], database: str) -> AsyncIterator[list[Target]]:
    """The targets that can be run here; a line for each that cannot."""
    started: list[Child] = []
    found: list[Target] = []
    try:
        for name in names:
            try:
                found.append(await STARTS[name](HOME, database, started))
            except (Missing, StartError) as reason:
                print(f"{name} is left out: {reason}", flush=True)
        yield found
    finally:
        for child in reversed(started):
            await child.stop()


async def checked(found: list[Target], workloads: list[str], database: str) -> set[tuple[str, str]]:
    """The pairs of target and workload whose answers are right; a line for those that do not exist yet."""
    right: set[tuple[str, str]] = set()
    connection = await asyncpg.connect(database)
    try:
        for target in found:
            for workload in workloads:
                try:
                    await check(target, workload, connection)
                    right.add((target.name, workload))
                except Missing as reason:
                    print(f"left out: {reason}", flush=True)
    finally:
        await connection.close()
    return right


async def measure(chosen: argparse.Namespace, database: str, found: list[Target], results: Results) -> None:
    """Every cell in every round; the targets take turns, each round beginning with another."""
    right = await checked(found, chosen.workloads, database)
    for target in found:
        for workload in chosen.workloads:
            if (target.name, workload) in right:
                await wrk(target, workload, 32, 1, seed=0)  # a second to warm up: connections, plans, caches
    for number in range(chosen.rounds):
        turns: list[Target | None] = [*found, *([None] if PGBENCH in chosen.targets else [])]
        turns = turns[number % len(turns) :] + turns[: number % len(turns)]
        for workload in chosen.workloads:
            for clients in chosen.clients:
                for turn in turns:
                    await _turn(Cell(workload, clients), turn, right, database, chosen.seconds, results)
        await _tidy(database)
        print(f"round {number + 1} of {chosen.rounds} is done", file=sys.stderr, flush=True)


async def _turn(
    cell: Cell, target: Target | None, right: set[tuple[str, str]], database: str, seconds: int, results: Results
) -> None:
    seed = random.randrange(1_000_000)
    if target is None:
        results.add(cell, PGBENCH, await pgbench(database, cell.workload, cell.clients, seconds, seed))
    elif (target.name, cell.workload) in right:
        results.add(cell, target.name, await wrk(target, cell.workload, cell.clients, seconds, seed))


async def _tidy(database: str) -> None:
    """Dead rows of one round are not the next one's burden."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute('VACUUM ANALYZE "order"')
    finally:
        await connection.close()


async def main() -> int:
    """Measure and report; the exit status."""
    chosen, results = arguments(), Results()
    task = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else sys.exit)
    try:
        wrk_installed()
        with locked(HOME):
            async with shop() as database, running([one for one in chosen.targets if one in STARTS], database) as found:
                await measure(chosen, database, found, results)
    except (Missing, StartError, UsageError, WrongAnswer) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        print("bench: stopped, nothing is kept", file=sys.stderr)
        return 130
    now = datetime.now(UTC)
    file = HOME / f"{now:%Y%m%dT%H%M%SZ}.json"
    about = {"time": now.isoformat(), "cpus": psutil.cpu_count(), "rounds": chosen.rounds, "seconds": chosen.seconds}
    results.save(file, about)
    print(f"{results.table()}\n\nmedians of {chosen.rounds} round(s) of {chosen.seconds} s; {psutil.cpu_count()} CPUs, "
          f"shared with Postgres and the load.\nEvery round: {file}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
