import json
import logging
import time
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common import telemetry
from libs.common.telemetry import JsonLines, redact, traceparent


def line(message: str, *arguments: object, error: Exception | None = None, **fields: object) -> dict[str, object]:
    info = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("services.gateway", logging.INFO, __file__, 1, message, arguments, info)
    record.fields = fields
    return cast("dict[str, object]", json.loads(JsonLines("gateway").format(record)))


SECRETS = [
    "postgres://user:hunter2@db.example.com:5432/app",
    "postgresql://user:hun/ter2:hunter2@db/app?sslmode=require",
    "cannot reach 'nats://gateway:hunter2@127.0.0.1:4222'",
    "redis://:hunter2@localhost/0",
    "postgres://user:p@ss@hunter2@db/app",
    "https://user:hunter2@clickhouse:8443/logs",
    'postgres://user:"hunter2"@db/app',
    "postgres://hunter2@db/app",
    "host=db user=app password=hunter2 dbname=app",
    "host=db password='hunter2 with spaces' dbname=app",
    "PGPASSWORD=hunter2",
    "DBIFY_MASTER_KEY=hunter2",
    "DBIFY_SIGNING_KEY: hunter2",
    '{"password": "hunter2"}',
    '{"apiKey":"hunter2"}',
    r"{\"password\": \"hunter2\"}",
    "{'api_key': 'hunter2'}",
    '{"password": "a\\"hunter2"}',
    "?user=a&password=hunter2&x=1",
    "token: hunter2",
    "client_secret=hunter2",
    "Authorization: Bearer hunter2hunter2",
    "authorization=Basic aHVudGVyMg==hunter2",
    "the key dbk_hunter2hunter2 is wrong",
    "dbp_hunter2",
    "postgresql://u:dbk_x@h and dbk_hunter2",
    "DETAIL:  Key (email)=(hunter2) already exists.",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_passes_in_a_message_a_field_or_an_exception(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert "hunter2" not in str(line("it said: %s", text))
    assert "hunter2" not in str(line("x", why=text, deep={"list": [text, {"more": (text,)}], text: 1}))
    assert "hunter2" not in str(line("x", error=_raised(text)))


def _raised(text: str) -> Exception:
    try:
        try:
            raise ValueError(text)  # noqa: TRY301 - a chain of two is what is needed
        except ValueError as cause:
            raise RuntimeError(f"again {text}") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "name",
    ["password", "dbPassword", "api_key", "apiKey", "KEY", "master_key", "secret", "clientSecret", "token", "dsn",
     "adminToken", "authorization", "cookie", "credentials"],
)  # fmt: skip
@pytest.mark.parametrize("wrap", [lambda name: {name: "hunter2"}, lambda name: {"outer": {name: ["hunter2"]}}])
def test_a_field_named_like_a_secret_is_hidden(name: str, wrap: Callable[[str], dict[str, object]]) -> None:
    assert "hunter2" not in str(line("x", error=None, **wrap(name)))


@pytest.mark.parametrize(
    "text",
    [
        "registered project 7 in 12 ms",
        'no table "Projct". Did you mean "Project"?',
        "connect to 127.0.0.1:4222 refused",
        "see https://dbify.dev/docs and mail me@example.com",
        "the primary key of order_items is (id)",
        "5 tokens leased",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_ordinary_fields_keep_their_types() -> None:
    got = line("x", project=7, ratio=0.5, done=True, nothing=None, keyId="k1", tables=["a", "b"])
    kept = {name: got[name] for name in ("project", "ratio", "done", "nothing", "keyId", "tables")}
    assert kept == {"project": 7, "ratio": 0.5, "done": True, "nothing": None, "keyId": "k1", "tables": ["a", "b"]}


def test_a_line_says_when_who_and_what() -> None:
    got = line("hello %s", "you", level="forged", service="forged")
    assert (got["level"], got["service"], got["logger"], got["message"]) == (
        "info", "gateway", "services.gateway", "hello you",
    )  # fmt: skip
    assert str(got["time"]).endswith("+00:00")


def test_the_trace_stands_in_every_line() -> None:
    token = traceparent.set("00-abc")
    try:
        assert line("x")["traceparent"] == "00-abc"
    finally:
        traceparent.reset(token)


@given(st.text(max_size=200))
def test_any_message_is_one_line_of_json(message: str) -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, message, (), None)
    text = JsonLines("gateway").format(record)
    assert "\n" not in text
    json.loads(text)


@given(
    st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=30).filter(lambda word: "@" not in word)
)
def test_no_password_of_any_characters_passes_in_a_url(password: str) -> None:
    assert redact(f"at postgres://user:{password}@db/app.") == "at postgres://***@db/app."


@pytest.mark.parametrize(
    "text", ["a" * 200_000, "://" * 60_000, "password=" * 20_000, "x=" + '"\\' * 50_000, "@" * 100_000]
)
def test_a_huge_text_is_cut_and_does_not_stop_the_process(text: str) -> None:
    started = time.perf_counter()
    assert len(redact(text)) <= 17 * 1024
    assert time.perf_counter() - started < 1


def test_a_url_that_is_cut_does_not_show_its_password() -> None:
    text = "x" * 16_300 + " postgres://user:hunter2" + "y" * 1000 + "@db"
    assert "hunter2" not in redact(text)


def test_the_process_logs_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        telemetry.configure("gateway")
        telemetry.log(logging.getLogger("services.gateway"), "registered", project=4, api_key="dbk_hunter2")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(capture=False)
    out, err = capsys.readouterr()
    assert out == ""
    got = json.loads(err)
    assert (got["message"], got["project"], got["api_key"]) == ("registered", 4, "***")
