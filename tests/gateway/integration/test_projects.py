import asyncpg
from httpx import Response

from stack import embedded
from tests.gateway.scene import Gateway


def _refused(answer: Response, status: int, code: str) -> None:
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (status, code), answer.text
    assert set(body) == {"errorCode", "message", "details", "requestId"}
    assert body["requestId"] == answer.headers["x-request-id"]


async def test_a_project_can_be_queried_the_moment_its_post_answers(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    assert set(project) == {"projectId", "name", "apiKey", "keyId"}
    answer = await gateway.query(project["apiKey"], payload={"id": 2})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"data": [{"id": 2, "title": "Ulysses"}]}
