"""A client of the gateway's HTTP API, as any other: it makes the demo's account, token and project."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class ClientError(Exception):
    """The gateway answered something else than was hoped for; the message has its code and words."""


class Answer(NamedTuple):
    """A response: its status, its JSON object, and the cookies it set."""

    status: int
    body: Mapping[str, object]
    cookie: str

    def text(self, name: str) -> str:
        """A field of the body as text."""
        return str(self.body[name])


@dataclass
class Client:
    """Calls the API at `url`, with a token or a cookie where it has one."""

    url: str
    token: str = ""
    cookie: str = field(default="", repr=False)

    async def send(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """Send a request; every status is an answer."""
        return await asyncio.to_thread(self._send, method, path, body)

    async def expect(self, status: int, method: str, path: str, body: Mapping[str, object] | None = None) -> Answer:
        """Send a request that must be answered with `status`.

        Raises:
            ClientError: If it is not.
        """
        answer = await self.send(method, path, body)
        if answer.status != status:
            said = answer.body.get("errorCode"), answer.body.get("message")
            raise ClientError(f"{method} {path} answered {answer.status}: {said[0]}: {said[1]}")
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, object] | None) -> Answer:
        headers = {"Accept": "application/json", "Origin": self.url}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.cookie:
            headers["Cookie"] = self.cookie
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - our own URL
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as response:
                return _answer(response.status, response.read(), response.headers.get("Set-Cookie", ""))
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error.read(), "")


def _answer(status: int, body: bytes, cookie: str) -> Answer:
    decoded = json.loads(body) if body else {}
    return Answer(status, decoded if isinstance(decoded, dict) else {}, cookie.partition(";")[0])
