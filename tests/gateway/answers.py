"""What an answer is held against."""

from httpx import Response


def assert_refused(answer: Response, status: int, code: str) -> None:
    """An error in the one form, whoever raised it."""
    body = answer.json()
    assert (answer.status_code, body["errorCode"]) == (status, code), answer.text
    assert set(body) == {"errorCode", "message", "details", "requestId"}
    assert body["requestId"] == answer.headers["x-request-id"]
    assert body["message"]
