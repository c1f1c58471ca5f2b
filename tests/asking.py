"""Asking a running stack the way its users do, and asking it much."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

Json = dict[str, Any]
_TIMEOUT_S = 60


class Caller:
    """A user of one project: its key for data, the account's token for the rest.

    Every request has a connection of its own, so that all gateway processes get some.
    """

    def __init__(self, demo: Mapping[str, Any], **other: Any) -> None:
        self.demo = {**demo, **other}
        self.url: str = self.demo["url"]
        self.project: int = self.demo["projectId"]

    def query(self, operation: str, table: str, payload: Json) -> httpx.Response:
        """`POST /query`, as the first page of the documentation shows it."""
        return httpx.post(f"{self.url}/query", json=self.body(operation, table, payload), timeout=_TIMEOUT_S)

    def body(self, operation: str, table: str, payload: Json) -> Json:
        """The body of a request."""
        return {
            "projectId": self.project,
            "apiKey": self.demo["apiKey"],
            "operation": operation,
            "tableName": table,
            "payload": payload,
        }

    def data(self, operation: str, table: str, payload: Json) -> Any:
        """The data of an answer that has to be a good one."""
        answer = self.query(operation, table, payload)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def manage(self, method: str, path: str, body: Any = None, **parameters: Any) -> httpx.Response:
        """The management API with the account's token; a path without a slash is the project's."""
        path = path if path.startswith("/") else f"/v1/projects/{self.project}/{path}"
        headers = {"Authorization": f"Bearer {self.demo['adminToken']}"}
        return httpx.request(
            method, f"{self.url}{path}", json=body, params=parameters, headers=headers, timeout=_TIMEOUT_S
        )

    def get(self, path: str, **parameters: Any) -> Any:
        """A resource that has to be there."""
        answer = self.manage("GET", path, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def register(self, name: str, database_url: str) -> "Caller":
        """A new project for a database, and its user."""
        answer = self.manage("POST", "/v1/projects", {"name": name, "databaseUrl": database_url})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Caller(self.demo, projectId=made["projectId"], apiKey=made["apiKey"], keyId=made["keyId"])


def eventually(what: Callable[[], bool], limit_s: float = 30) -> None:
    """Wait until a fact is one."""
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline, "this did not become true in time"
        time.sleep(0.1)


class Load:
    """Requests from several clients at once, each on a connection of its own, for as long as or as often as told.

    Attributes:
        statuses: How many answers of each status.
        failed: What was not answered with 200: the status, or the error, and the beginning of the body.
    """

    def __init__(self, caller: Caller, bodies: Callable[[int], Json], clients: int = 8) -> None:
        self._at = urlsplit(caller.url).netloc
        self._bodies = bodies
        self._numbers = itertools.count()
        self._clients = clients
        self._stop = threading.Event()
        self._limit: int | None = None
        self.statuses: Counter[int] = Counter()
        self.failed: list[str] = []

    def run(self, requests: int) -> "Load":
        """Send exactly that many requests."""
        self._limit = requests
        with self.going():
            pass
        return self

    @contextmanager
    def going(self) -> Iterator["Load"]:
        """Keep sending while the block runs; with a limit, leave the block when it is reached."""
        threads = [threading.Thread(target=self._client) for _ in range(self._clients)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            if self._limit is None:
                self._stop.set()
            for thread in threads:
                thread.join()

    def start(self, requests: int) -> threading.Thread:
        """Send that many requests in the background."""
        thread = threading.Thread(target=self.run, args=(requests,))
        thread.start()
        return thread

    @property
    def sent(self) -> int:
        """How many requests were answered."""
        return self.statuses.total()

    def _client(self) -> None:
        connection = http.client.HTTPConnection(self._at, timeout=60)
        while not self._stop.is_set():
            number = next(self._numbers)
            if self._limit is not None and number >= self._limit:
                break
            self._send(connection, number)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, number: int) -> None:
        try:
            connection.request("POST", "/query", json.dumps(self._bodies(number)))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failed.append(repr(error))
            return
        self.statuses[answer.status] += 1
        if answer.status != 200:
            self.failed.append(f"{answer.status} {body[:200]!r}")
