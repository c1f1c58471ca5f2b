import http.server
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from bench import targets
from bench.answers import WORKLOADS, WrongAnswer, check
from bench.load import Measure, percentile, pgbench
from bench.report import Cell, Results
from bench.targets import Missing, Target
from stack.children import Child  # noqa: TC001 - local annotations alone need it, and it reads as any import

ROOT = Path(__file__).resolve().parent.parent.parent
ROWS = """
INSERT INTO customer (id, email, name) VALUES (3, 'a@example.com', 'A'), (1003, 'b@example.com', 'B');
INSERT INTO product (title, price) VALUES ('P', 1);
INSERT INTO "order" (customer_id, status, total, created_at)
    SELECT 3, 'paid', i, '2024-01-01'::timestamptz + i * interval '1 min' FROM generate_series(1, 25) i;
INSERT INTO order_item (order_id, product_id, qty, price) VALUES (5, 1, 2, 9.90), (5, 1, 1, 5);
"""


@pytest.fixture
async def shop(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The measured tables with a handful of rows."""
    connection = await asyncpg.connect(database)
    tables, *_, indexes = (ROOT / "bench/schema.sql").read_text().partition("SELECT setseed(0.42);")
    await connection.execute(tables + ROWS + "CREATE INDEX" + indexes.partition("CREATE INDEX")[2])
    yield connection
    await connection.close()


async def test_the_fastapi_baseline_answers_every_workload_rightly(
    shop: asyncpg.Connection, database: str, tmp_path: Path
) -> None:
    running: list[Child] = []
    try:
        target = await targets.fastapi(tmp_path, database, running)
        for workload in WORKLOADS:
            await check(target, workload, shop)
        assert target.cpu_s() > 0
    finally:
        for child in running:
            await child.stop()


@pytest.mark.usefixtures("shop")
async def test_pgbench_runs_every_statement(database: str) -> None:
    for workload in set(WORKLOADS) - {"c"}:  # new orders go to customers that are not here
        found = await pgbench(database, workload, clients=1, seconds=1, seed=1)
        assert found.requests > 0
        assert 0 < found.p50_ms <= found.p99_ms


@pytest.fixture
def answering() -> Iterator[tuple[Target, list[tuple[int, object]]]]:
    """A server that answers what the test puts into the list."""
    answers: list[tuple[int, object]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, body = answers[-1]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        known = {"PROJECT": "1", "KEY": "dbk_"}
        yield Target("gateway", f"http://127.0.0.1:{server.server_port}", "dbify", [], known), answers
        server.shutdown()


Answering = tuple[Target, list[tuple[int, object]]]


async def test_a_wrong_body_or_status_is_found_out(shop: asyncpg.Connection, answering: Answering) -> None:
    target, answers = answering
    row = json.loads(await shop.fetchval("SELECT row_to_json(c) FROM customer c WHERE id = 3"))
    answers.append((200, {"data": [row]}))
    await check(target, "a", shop)
    for wrong in [(200, {"data": [{**row, "name": "B"}]}), (201, {"data": [row]}), (500, {"errorCode": "X"})]:
        answers.append(wrong)
        with pytest.raises(WrongAnswer):
            await check(target, "a", shop)


async def test_what_the_language_does_not_have_yet_is_left_out(shop: asyncpg.Connection, answering: Answering) -> None:
    target, answers = answering
    answers.append((400, {"errorCode": "UNKNOWN_FIELD"}))
    with pytest.raises(Missing, match="include"):
        await check(target, "e", shop)


def test_a_cell_is_the_median_of_its_rounds_beside_the_others() -> None:
    results = Results()
    for per_second in (100, 900, 300):
        results.add(Cell("a", 32), "gateway", Measure(per_second, 1, 1, 2, errors=1, cpu_us=per_second))
        results.add(Cell("a", 32), "go", Measure(per_second * 2, 1, 1, 2, cpu_us=10))
    median = results.median(Cell("a", 32), "gateway")
    assert median == Measure(300, 1, 1, 2, errors=3, cpu_us=300)
    line = next(line for line in results.table().splitlines() if "gateway" in line)
    assert line.split() == ["32", "gateway", "300", "1.00", "2.00", "300", "0.50", "-", "3", "errors"]


@pytest.mark.parametrize(("values", "percent", "expected"), [([], 99, 0), ([7], 50, 7), (list(range(100)), 99, 99)])
def test_a_percentile_of_sorted_values(values: list[int], percent: float, expected: int) -> None:
    assert percentile(values, percent) == expected


def test_without_wrk_it_says_how_to_get_it(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "DBIFY_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "apt-get install wrk" in done.stderr
    assert list(tmp_path.iterdir()) == []
