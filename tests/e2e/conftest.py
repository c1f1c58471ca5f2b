"""End-to-end tests use the `stack` fixture of tests/conftest.py: one stack of real processes for all of them."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.running import RunningStack

Query = Callable[..., tuple[int, Any]]


@pytest.fixture
def query(stack: RunningStack) -> Query:
    """Calls `POST /query` as the demo project; the status and the decoded answer."""

    def send(operation: str, table: str, payload: Mapping[str, object], **more: object) -> tuple[int, Any]:
        body = {
            "projectId": stack.demo["projectId"],
            "apiKey": stack.demo["apiKey"],
            "operation": operation,
            "tableName": table,
            "payload": payload,
            **more,
        }
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{stack.demo['url']}/query", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return send
