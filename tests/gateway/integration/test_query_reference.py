"""The examples of docs/reference/query.md, run as written."""

import json
import re
from pathlib import Path

from stack import embedded
from tests.gateway.asking import asking

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "query.md"
BLOCK = re.compile(r"^```(sql|json|json answer|json error)\n(.+?)^```\n(?:`([A-Z_]+)`)?", re.MULTILINE | re.DOTALL)


async def test_the_references_examples_answer_as_it_says(database: str, valkey: embedded.Valkey) -> None:
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) > 30
    answer = ""
    async with asking(database, valkey.url()) as it:
        for kind, text, code in blocks:
            if kind == "sql":
                await it.execute(text)
            elif kind == "json answer":
                assert json.loads(answer) == json.loads(text)
            else:
                request = {"projectId": 1, "apiKey": "k", **json.loads(text)}
                status, body = await it.send(json.dumps(request).encode())
                answer = body.decode()
                assert (status == 200, json.loads(answer).get("errorCode", "")) == (kind == "json", code), (
                    text,
                    answer,
                )
                assert "[]" not in answer, text
