import pytest

from libs.common.errors import Code, DbifyError
from services.gateway.core.json import Json, decode, encode
from services.gateway.core.request import MAX_BODY_BYTES, Credentials, credentials, read, request


@pytest.mark.parametrize(
    ("body", "code", "says"),
    [
        (b"", Code.INVALID_JSON, "empty"),
        (b"  \n ", Code.INVALID_JSON, "empty"),
        (b"{", Code.INVALID_JSON, "truncated"),
        (b'{"a": 1} x', Code.INVALID_JSON, "trailing"),
        (b'\xef\xbb\xbf{"a": 1}', Code.INVALID_JSON, "byte order mark"),
        (b'{"a": "\xff"}', Code.INVALID_JSON, "UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', Code.INVALID_JSON, "UTF-8"),
        (rb'{"a": "\ud800"}', Code.INVALID_JSON, "truncated"),
        (b'{"a": NaN}', Code.INVALID_JSON, "malformed"),
        (b'{"a": Infinity}', Code.INVALID_JSON, "malformed"),
        (b'{"a": ' + b"9" * 5000 + b"}", Code.INVALID_JSON, "out of range"),
        (b"[1]", Code.INVALID_REQUEST, "not an array"),
        (b"null", Code.INVALID_REQUEST, "not null"),
        (b'"x"', Code.INVALID_REQUEST, "not a string"),
        (b"[" * 100_000, Code.TOO_COMPLEX, "nests"),
        (b'{"a":' * 100_000, Code.TOO_COMPLEX, "nests"),
        (b" " * (MAX_BODY_BYTES + 1), Code.REQUEST_TOO_LARGE, "limit"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_malformed_body_is_refused_with_the_reason(body: bytes, code: Code, says: str) -> None:
    with pytest.raises(DbifyError) as caught:
        read(body)
    assert caught.value.code is code
    assert says in caught.value.message


def test_of_two_fields_of_one_name_the_last_counts() -> None:
    assert read(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize("number", ["1.10", "-0.0", "1e400", "123456789012345678901234567890", "0.1e-7"])
def test_a_number_keeps_every_digit(number: str) -> None:
    assert encode(decode(number.encode())) == number


@pytest.mark.parametrize(
    ("fields", "authorization", "expected"),
    [
        ({"projectId": 4, "apiKey": "k"}, None, Credentials("k", 4)),
        ({"projectId": "4", "apiKey": "k"}, None, Credentials("k", 4)),
        ({"projectId": 4}, "Bearer k", Credentials("k", 4)),
        ({}, "Bearer k", Credentials("k", None)),
        ({}, "bearer  k ", Credentials("k", None)),
        ({"projectId": 4, "apiKey": "k"}, "Bearer other", Credentials("k", 4)),
        ({"projectId": 4, "apiKey": "k"}, "Basic dTpw", Credentials("k", 4)),
        ({"apiKey": "k"}, "Bearer k", Credentials("k", None)),
    ],
)
def test_the_key_comes_from_the_body_or_else_the_header(
    fields: dict[str, Json], authorization: str | None, expected: Credentials
) -> None:
    assert credentials(fields, authorization) == expected


@pytest.mark.parametrize(
    ("fields", "authorization", "code"),
    [
        ({}, None, Code.INVALID_API_KEY),
        ({"projectId": 4}, None, Code.INVALID_API_KEY),
        ({"projectId": 4}, "Basic dTpw", Code.INVALID_API_KEY),
        ({"projectId": 4}, "Bearer ", Code.INVALID_API_KEY),
        ({"projectId": 4, "apiKey": 7}, None, Code.INVALID_API_KEY),
        ({"projectId": 4, "apiKey": None}, "Bearer k", Code.INVALID_API_KEY),
        ({"projectId": -4, "apiKey": "k"}, None, Code.INVALID_API_KEY),
        ({"projectId": 1 << 63, "apiKey": "k"}, None, Code.INVALID_API_KEY),
        ({"apiKey": "k"}, None, Code.INVALID_REQUEST),
        ({"projectId": True, "apiKey": "k"}, None, Code.INVALID_REQUEST),
        ({"projectId": "4x", "apiKey": "k"}, None, Code.INVALID_REQUEST),
        ({"projectId": "٤", "apiKey": "k"}, None, Code.INVALID_REQUEST),
        ({"projectId": None, "apiKey": "k"}, None, Code.INVALID_REQUEST),
        ({"projectId": decode(b"4.0"), "apiKey": "k"}, None, Code.INVALID_REQUEST),
    ],
)
def test_a_missing_key_is_unauthorised_and_a_malformed_project_is_a_malformed_request(
    fields: dict[str, Json], authorization: str | None, code: Code
) -> None:
    with pytest.raises(DbifyError) as caught:
        credentials(fields, authorization)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"operation": "reed", "tableName": "t"}, Code.UNKNOWN_OPERATION, "read, create, update, delete"),
        ({"operation": ["read"], "tableName": "t"}, Code.UNKNOWN_OPERATION, "an array"),
        ({"tableName": "t"}, Code.UNKNOWN_OPERATION, "null"),
        ({"operation": "read"}, Code.INVALID_REQUEST, "missing"),
        ({"operation": "read", "tableName": 5}, Code.INVALID_REQUEST, "a number"),
        ({"operation": "read", "tableName": "t", "payload": None}, Code.INVALID_REQUEST, "null"),
        ({"operation": "read", "tableName": "t", "paylod": {}}, Code.UNKNOWN_FIELD, 'Did you mean "payload"?'),
    ],
)
def test_a_request_with_a_wrong_field_says_which(fields: dict[str, Json], code: Code, says: str) -> None:
    with pytest.raises(DbifyError) as caught:
        request(fields)
    assert caught.value.code is code
    assert says in caught.value.message


def test_a_read_may_leave_its_payload_out() -> None:
    assert request({"operation": "read", "tableName": "t"}).payload == {}
