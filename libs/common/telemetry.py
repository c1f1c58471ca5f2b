"""Logs as JSON lines on stderr, with secrets taken out, and the trace that runs through a request.

A log line is `{"time", "level", "service", "logger", "message", ...fields}`, and `exception` where there was one.
"""

import logging
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

# The W3C trace context (w3.org/TR/trace-context) of what is being done, "" where there is none.
traceparent: ContextVar[str] = ContextVar("traceparent", default="")

_HIDDEN = "***"
_MAX_TEXT = 16 * 1024
_MAX_DEPTH = 6

_SECRET_NAME = re.compile(
    r"(?:key|passwords?|passwd|pwd|secrets?|tokens?|authorization|cookies?|credentials?|dsn)$", re.IGNORECASE
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # scheme://user:password@: all up to the last @ before a space, since an unescaped password may hold any of /:@.
    (re.compile(r"://\S*@"), f"://{_HIDDEN}@"),
    (re.compile(r"\b(dbk|dbp)_[A-Za-z0-9_\-]+"), rf"\1_{_HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{6,}", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    # password=..., "apiKey": "...", PGPASSWORD: '...': the name, then the value, quoted or not.
    (
        re.compile(
            r"""(password|passwd|pwd|secret|token|api_?-?key|(?:master|signing|private|secret)_?-?key|authorization)"""
            r"""((?:\\?["'])?\s*[=:]\s*)(?:\\?"(?:[^"\\]|\\.)*\\?"|'(?:[^'\\]|\\.)*'|[^\s,;&"'})\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1\2{_HIDDEN}",
    ),
    # PostgreSQL's DETAIL quotes the row's values.
    (re.compile(r"(DETAIL:\s*)[^\n]*"), rf"\1{_HIDDEN}"),
)


def redact(text: str) -> str:
    """The text without what looks like a secret: credentials in URLs, keys, tokens, passwords, a row's values."""
    if len(text) > _MAX_TEXT:
        # Cut at a space: half a URL would no longer show that it holds a password.
        text = text[:_MAX_TEXT].rsplit(None, 1)[0][:_MAX_TEXT] + " [cut]" if " " in text[:_MAX_TEXT] else "[cut]"
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _clean(name: str, value: object, depth: int = 0) -> object:
    """A field's value as it may be logged; whatever is named like a secret is hidden whole."""
    if _SECRET_NAME.search(name) and value is not None:
        return _HIDDEN
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping) and depth < _MAX_DEPTH:
        return {redact(str(key)): _clean(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth < _MAX_DEPTH:
        return [_clean(name, item, depth + 1) for item in value]
    return redact(str(value))


class JsonLines(logging.Formatter):
    """A log record as one line of JSON."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, redacted."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        if trace := traceparent.get():
            line["traceparent"] = trace
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line |= {str(key): _clean(str(key), value) for key, value in fields.items() if key not in line}
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact(record.stack_info)
        return msgspec.json.encode(line).decode()


def configure(service: str) -> None:
    """Send every log line of the process to stderr as JSON; called once, at start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


def log(logger: logging.Logger, message: str, /, *, level: int = logging.INFO, **fields: object) -> None:
    """Log a message with fields: `log(logger, "registered", project=4)`."""
    logger.log(level, message, extra={"fields": fields}, stacklevel=2)
