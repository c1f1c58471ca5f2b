"""Prints the registry of error codes as `docs/reference/errors.md`: `python -m tools.errors`."""

from libs.common.errors import Code

_HEAD = """\
# Errors

Every error, over HTTP and NATS alike, has this form:

```json
{
  "errorCode": "TABLE_NOT_FOUND",
  "message": "No table \\"Projct\\". Did you mean \\"Project\\"?",
  "details": {"table": "Projct"},
  "requestId": "01a21104-0412-7652-b422-b496ffd188b3"
}
```

The message is for people and says what to do next; `details` holds facts for a program; the request id finds the
request in the logs. A code never changes its name or status. 500 and 502 are always a defect of Dbify's; 503 and 504
say that something else is down or slow, and that the same request may succeed later.

| code | status | when |
|---|---|---|
"""


def page() -> str:
    """The page, by status."""
    codes = sorted(Code, key=lambda code: (code.status, code.name))
    return _HEAD + "".join(f"| `{code.name}` | {code.status} | {code.meaning} |\n" for code in codes)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - printing is what it is for
