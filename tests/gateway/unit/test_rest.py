"""Requests to tables' endpoints in the words of `/query`."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import Code, DbifyError
from services.gateway.core.request import read, request
from services.gateway.core.rest import Rest, call_body, run_body, table_body


def asked(method: str, *parameters: tuple[str, str], body: bytes = b"", key: str = "") -> object:
    found = json.loads(table_body(4, Rest(method, "book", key, parameters, body), "id"))
    assert (found["projectId"], found["tableName"]) == (4, "book")
    return found["operation"], found["payload"]


def test_words_and_filters_are_told_apart() -> None:
    assert asked("GET") == ("read", {})
    assert asked("GET", ("a.b.gte", "5"), ("select", "x, y"), ("distinct", "true")) == (
        "read",
        {"where": {"a.b": {"gte": "5"}}, "select": ["x", "y"], "distinct": True},
    )
    assert asked("DELETE", ("all", "true"), key="7") == ("delete", {"all": True, "where": {"id": {"equals": "7"}}})
    assert asked("PATCH", ("x", ""), body=b'{"n": 1.10}') == (
        "update",
        {"where": {"x": {"equals": ""}}, "data": {"n": 1.1}},
    )
    assert asked("POST", ("onConflict", '{"columns": ["id"]}'), body=b"[]") == (
        "create",
        {"onConflict": {"columns": ["id"]}, "data": []},
    )


def test_digits_of_a_body_are_kept() -> None:
    assert b"1.1000" in table_body(4, Rest("POST", "book", "", (), b'{"n": 1.1000}'), "")


@pytest.mark.parametrize("body", [b"", b"{", b'{"a":1}}, "tableName": "x", "y": {', b"\xff", b"[" * 5000])
def test_a_broken_body_is_for_the_query_to_refuse(body: bytes) -> None:
    for made in (table_body(4, Rest("POST", "book", "", (), body), ""), run_body(4, "q", (), body, read_only=False)):
        if made != body:
            continue
        with pytest.raises(DbifyError) as caught:
            read(made)
        assert caught.value.code in {Code.INVALID_JSON, Code.TOO_COMPLEX}


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8))), st.binary(max_size=30))
def test_whatever_is_asked_is_a_request_or_refused(parameters: list[tuple[str, str]], body: bytes) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        try:
            made = table_body(4, Rest(method, "book", "", parameters, body), "")
            if made != body:
                assert request(read(made)).table == "book"
        except DbifyError as error:
            assert error.code in {Code.INVALID_REQUEST, Code.INVALID_JSON, Code.TOO_COMPLEX}  # noqa: PT017  or that


def test_runs_and_calls_are_requests() -> None:
    ran = request(read(run_body(4, "q", (("a", "1"),), b'{"b": 2}', read_only=True)))
    assert ran.payload == {"query": "q", "params": {"b": 2, "a": "1"}, "readOnly": True}
    called = request(read(call_body(4, "f", b"[1]")))
    assert called.payload == {"function": "f", "args": [1]}
    with pytest.raises(DbifyError):
        run_body(4, "q", (("a", "1"),), b'{"a": 2}', read_only=True)
