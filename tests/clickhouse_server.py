"""A ClickHouse that is reached over HTTP and can be killed and started again: chdb in a process of its own.

`python -m tests.clickhouse_server FOLDER PORT` answers what clickhouse-connect's HTTP client sends: settings, `param_`
values and the database in the query string, the statement in the body, with the rows of an INSERT after its first line.
"""

import asyncio
import re
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

import chdb
import lz4.frame  # type: ignore[import-untyped]  # it has no type information
import zstandard

from stack import children
from stack.embedded import HOST, free_port

_ROOT = Path(__file__).parent.parent
# What the query string holds besides settings.
_OTHER = {"query", "database", "wait_end_of_query", "client_protocol_version", "session_id", "query_id"}
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"(INSERT INTO .*?)\s+FORMAT Native\n", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
_DECODERS = {
    "lz4": lz4.frame.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}


class ClickHouse:
    """The server as tests hold it. Its folder and port stay the same when it is killed and started again."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data"
        self._home = home
        self._port = free_port()
        self._child: children.Child | None = None

    @classmethod
    async def start(cls, home: Path) -> Self:
        """Start a server and wait until it answers."""
        server = cls(home)
        await server.restart()
        return server

    def url(self, database: str) -> str:
        """The URL of a database, which need not exist."""
        return f"http://default@{HOST}:{self._port}/{database}"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.running

    async def restart(self) -> None:
        """Start it (again) and wait until it answers."""
        command = [sys.executable, "-m", "tests.clickhouse_server", str(self.data), str(self._port)]
        self._child = children.spawn(self._home, "clickhouse", command, cwd=_ROOT)
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(self._answers):
                assert self.running, self._child.tail()
                await asyncio.sleep(0.05)

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._child is not None:
            self._child.kill()

    def _answers(self) -> bool:
        with suppress(OSError), urlopen(f"http://{HOST}:{self._port}/ping", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


class _Engine:
    """The process's one engine; statements run one after the other."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._connection = chdb.connect(str(folder))
        self._lock = threading.Lock()

    def run(self, body: bytes, given: Mapping[str, str]) -> bytes:
        settings = [
            f"{name} = '{value}'" for name, value in given.items() if name not in _OTHER and name[:6] != "param_"
        ]
        clause = f" SETTINGS {', '.join(settings)}" if settings else ""
        with self._lock:
            self._connection.query(f"USE `{given.get('database', 'default')}`")
            if insert := _INSERT.match(body):
                return self._insert(insert[1].decode(), clause, body[insert.end() :])
            statement = body.decode() or given["query"]
            wanted = _FORMAT.search(statement)
            if wanted:
                statement = statement[: wanted.start()] + clause
            parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
            result = self._connection.query(statement, wanted[1] if wanted else "TabSeparated", params=parameters)
            return bytes(result.bytes() or b"")

    def _insert(self, statement: str, clause: str, rows: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(rows)
            file.flush()
            self._connection.query(f"{statement} FROM INFILE '{file.name}'{clause} FORMAT Native")
        return b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: _Engine

    def do_GET(self) -> None:
        self._respond(200, b"Ok.\n", "")

    def do_POST(self) -> None:
        body, given = self._body(), dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get_content_type() == "multipart/form-data":
            # How clickhouse-connect sends values that are too long for a URL.
            given |= _form(self.headers["Content-Type"], body)
            body = given["query"].encode()
        try:
            answer = self.engine.run(body, given)
        except RuntimeError as error:
            code = _CODE.search(str(error))
            self._respond(500, str(error).encode(), code[1] if code else "1002")
        else:
            self._respond(200, answer, "")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b"".join(iter(self._chunk, b""))
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        decode = _DECODERS.get(self.headers.get("Content-Encoding", ""), bytes)
        return bytes(decode(data))

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    def _respond(self, status: int, body: bytes, code: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


def _form(content_type: str, body: bytes) -> dict[str, str]:
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    names = (str(part.get_param("name", header="content-disposition")) for part in message.iter_parts())
    return {name: part.get_content() for name, part in zip(names, message.iter_parts(), strict=True)}


def _serve(folder: Path, port: int) -> None:
    _Handler.engine = _Engine(folder)
    ThreadingHTTPServer((HOST, port), _Handler).serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
