"""The examples of the reference of saved queries, functions and tables, run as written."""

import json
import re
from pathlib import Path

import asyncpg
import pytest

from tests.gateway.scene import Gateway

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
BLOCK = re.compile(r"^```(sql|http|http error|json answer)\n(.+?)^```\n(?:`([A-Z_]+)`)?", re.MULTILINE | re.DOTALL)
# What the account does, and no key may.
MANAGED = re.compile(r"/v1/projects/4(/queries(/\w+)?)?")


@pytest.mark.parametrize("page", ["queries", "functions", "tables"])
async def test_the_references_examples_answer_as_they_say(gateway: Gateway, database: str, page: str) -> None:
    blocks = BLOCK.findall((REFERENCE / f"{page}.md").read_text())
    assert len(blocks) > 10
    connection = await asyncpg.connect(database)
    await connection.execute("".join(text for kind, text, _ in blocks if kind == "sql"))
    await connection.close()
    project = await gateway.register(database)
    answer = ""
    for kind, text, code in blocks:
        if kind == "json answer":
            assert json.loads(answer) == json.loads(text)
        elif kind != "sql":
            line, _, body = text.partition("\n")
            method, path = line.split(" ", 1)
            account = MANAGED.fullmatch(path.partition("?")[0])
            headers = gateway.headers if account else {"Authorization": f"Bearer {project['apiKey']}"}
            response = await gateway.client.request(
                method,
                path.replace("/projects/4", f"/projects/{project['projectId']}"),
                headers={**headers, "Content-Type": "application/json"},
                content=body,
            )
            answer = response.text
            assert response.is_success == (kind == "http"), (text, answer)
            assert json.loads(answer).get("errorCode", "") == code, (text, answer)
