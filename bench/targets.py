"""What is measured, side by side: the gateway, two hand-written services, and the database alone."""

import asyncio
import hashlib
import json
import os
import shutil
import sys
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from stack import children
from stack.children import Child
from stack.embedded import HOST, free_port, program

ROOT = Path(__file__).resolve().parent
WORKERS = 2
POOL = 8
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Missing(Exception):  # noqa: N818 - an answer: the report says why a target is left out
    """A target that cannot be run here, and how to get it."""


@dataclass
class Target:
    """A running HTTP service.

    Attributes:
        script: The wrk script that speaks its language.
        environ: What that script needs to know.
        processes: The servers whose CPU time counts, without the database.
    """

    name: str
    url: str
    script: str
    processes: list[psutil.Process]
    environ: dict[str, str] = field(default_factory=dict)

    def cpu_s(self) -> float:
        """CPU time that its processes and their children have used so far."""
        return sum(_cpu_s(one) for top in self.processes for one in (top, *top.children(recursive=True)))


def _cpu_s(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        used = process.cpu_times()
        return float(used.user + used.system)
    return 0.0


async def fastapi(home: Path, database: str, running: list[Child]) -> Target:
    """FastAPI and SQLAlchemy, as a developer writes it, in two worker processes."""
    port = free_port()
    command = [
        program("granian"), "--interface", "asgi", "--host", HOST, "--port", str(port), "--workers", str(WORKERS),
        "--no-access-log", "--log-level", "error", "fastapi_app:app",
    ]  # fmt: skip
    environ = {**os.environ, "DATABASE_URL": database, "POOL": str(POOL)}
    child = children.spawn(home, "fastapi", command, environ=environ, cwd=ROOT / "baselines")
    return await _up(Target("fastapi", f"http://{HOST}:{port}", "rest", _running(child, running)), child)


async def go(home: Path, database: str, running: list[Child]) -> Target:
    """Go's net/http and pgx, JSON made by Postgres."""
    binary = await _built(home)
    port = free_port()
    environ = {**os.environ, "LISTEN": f"{HOST}:{port}", "DATABASE_URL": f"{database}?pool_max_conns={WORKERS * POOL}"}
    child = children.spawn(home, "gohttp", [str(binary)], environ=environ)
    return await _up(Target("go", f"http://{HOST}:{port}", "rest", _running(child, running)), child)


async def _built(home: Path) -> Path:
    """The Go program, built once for its source."""
    if shutil.which("go") is None:
        raise Missing("Go is not installed: get it from https://go.dev/dl/ to compare with net/http and pgx")
    source = ROOT / "baselines/gohttp"
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(source.iterdir()))).hexdigest()[:16]
    binary = home / f"gohttp-{version}"
    if not binary.exists():
        print("building the Go program, once ...", flush=True)
        draft = binary.with_suffix(".new")
        process = await asyncio.create_subprocess_exec("go", "build", "-trimpath", "-o", draft, ".", cwd=source)
        if await process.wait():
            raise Missing("the Go program does not build here: the lines above say why")
        draft.replace(binary)
    return binary


async def gateway(home: Path, database: str, running: list[Child]) -> Target:
    """The whole local stack, with its own platform database; `database` is registered in it like any user's."""
    port, stack = free_port(), home / "stack"
    (stack / "demo.json").unlink(missing_ok=True)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DBIFY_")}
    environ |= {"DBIFY_HOME": str(stack), "DBIFY_PORT": str(port), "DBIFY_GATEWAYS": str(WORKERS)}
    child = children.spawn(home, "stack", [sys.executable, "-m", "stack", "run"], environ=environ, cwd=ROOT.parent)
    running.append(child)
    await children.ready(child, lambda: asyncio.to_thread((stack / "demo.json").exists), 180)
    demo = json.loads((stack / "demo.json").read_text())
    body = {"name": "bench", "databaseUrl": database}
    headers = {"Authorization": f"Bearer {demo['adminToken']}"}
    status, project = await asyncio.to_thread(send, "POST", f"{demo['url']}/v1/projects", body, headers)
    if status != 201:  # noqa: PLR2004
        raise RuntimeError(f"the gateway answers {status} to a new project: {project}")
    processes = [one for file in (stack / "run").glob("gateway*.pid") if (one := children.alive(file))]
    known = {"PROJECT": str(project["projectId"]), "KEY": project["apiKey"]}
    return Target("gateway", demo["url"], "dbify", processes, known)


def _running(child: Child, running: list[Child]) -> list[psutil.Process]:
    running.append(child)
    return [psutil.Process(child.process.pid)]


async def _up(target: Target, child: Child) -> Target:
    async def answers() -> bool:
        try:
            status, _ = await asyncio.to_thread(send, "GET", f"{target.url}/customers/3")
        except OSError:
            return False
        return status == 200  # noqa: PLR2004

    await children.ready(child, answers)
    return target


def send(method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """One request with a JSON body; the status and the decoded answer."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data=data, headers=sent, method=method)  # noqa: S310 - our own servers
    try:
        with _opener.open(request, timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")
