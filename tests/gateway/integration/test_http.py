"""The edges of the HTTP interface: errors in one form, limits, pages, the description."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import openapi_spec_validator

from services.gateway.adapters.http.entry import address_class
from tests.gateway.answers import assert_refused
from tests.gateway.scene import Gateway

MIB = 1024 * 1024


async def test_every_error_has_the_same_form(gateway: Gateway) -> None:
    json_headers = {"Content-Type": "application/json"}
    for method, path, content, headers, status, code in (
        ("GET", "/nowhere", b"", {}, 404, "NOT_FOUND"),
        ("GET", "/v1", b"", {}, 404, "NOT_FOUND"),
        ("PUT", "/v1/projects", b"", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/query", b"", {}, 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/query/", b"{}", json_headers, 404, "NOT_FOUND"),
        ("POST", "/livez", b"", {}, 404, "NOT_FOUND"),
        ("POST", "/v1/accounts", b"{", json_headers, 400, "INVALID_JSON"),
        ("POST", "/v1/accounts", b"\xff", json_headers, 400, "INVALID_JSON"),
        ("POST", "/v1/accounts", b"", json_headers, 400, "INVALID_REQUEST"),
        ("POST", "/v1/accounts", b"[]", json_headers, 400, "INVALID_REQUEST"),
        ("POST", "/v1/accounts", b'{"email": 1}', json_headers, 400, "INVALID_REQUEST"),
        ("POST", "/v1/accounts", b'{"email": "a@b", "password": "x", "x": 1}', json_headers, 400, "INVALID_REQUEST"),
        ("POST", "/v1/accounts", b"a=b", {"Content-Type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("POST", "/v1/accounts", b"x" * (MIB + 1), json_headers, 413, "REQUEST_TOO_LARGE"),
        ("GET", "/v1/me", b"", {}, 401, "UNAUTHENTICATED"),
        ("GET", "/v1/projects?limit=0", b"", gateway.headers, 400, "INVALID_REQUEST"),
        ("GET", "/v1/projects?limit=x", b"", gateway.headers, 400, "INVALID_REQUEST"),
        ("GET", "/v1/projects?after=x", b"", gateway.headers, 400, "INVALID_REQUEST"),
    ):
        answer = await gateway.client.request(method, path, content=content, headers=headers)
        assert_refused(answer, status, code)
    assert (await gateway.client.get("/query")).headers["allow"] == "POST"


async def test_no_error_repeats_a_password(gateway: Gateway) -> None:
    answer = await gateway.client.post("/v1/sessions", json={"email": "a@b.example", "password": ["s3cr3t"]})
    assert_refused(answer, 400, "INVALID_REQUEST")
    assert "s3cr3t" not in answer.text
    assert "password" in answer.text


async def test_a_body_over_the_limit_is_answered_however_it_is_sent(gateway: Gateway) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * MIB

    for content in (b" " * (11 * MIB), chunks()):
        answer = await gateway.client.post("/query", content=content)
        assert_refused(answer, 413, "REQUEST_TOO_LARGE")


async def test_a_body_in_small_chunks_is_read_whole(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    asked = {"operation": "read", "tableName": "book", "payload": {"id": 1}}
    body = json.dumps({**asked, "projectId": project["projectId"], "apiKey": project["apiKey"]})

    async def chunks() -> AsyncIterator[bytes]:
        for letter in body:
            yield letter.encode()

    answer = await gateway.client.post("/query", content=chunks())
    assert answer.json() == {"data": [{"id": 1, "title": "Emma"}]}


async def test_clients_that_leave_in_the_middle_do_no_harm(gateway: Gateway) -> None:
    async with AsyncExitStack() as stack:
        for start in (
            b"POST /query HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{",
            b"POST /query HTTP/1.1\r\nHo",
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.config.port)
            stack.callback(writer.close)
            writer.write(start)
            await writer.drain()
    assert (await gateway.client.get("/livez")).status_code == 200


async def test_the_description_is_valid_and_names_every_route(gateway: Gateway) -> None:
    answer = await gateway.client.get("/openapi.json")
    assert answer.headers["content-type"].startswith("application/json")
    described = answer.json()
    assert described["openapi"] == "3.1.0"
    openapi_spec_validator.validate(described)
    assert set(described["paths"]) == {
        "/query",
        "/v1/accounts",
        "/v1/sessions",
        "/v1/me",
        "/v1/tokens",
        "/v1/tokens/{token_id}",
        "/v1/projects",
        "/v1/projects/{project_id}",
        "/v1/projects/{project_id}/schema",
        "/v1/projects/{project_id}/keys",
        "/v1/projects/{project_id}/keys/{key_id}",
        "/v1/projects/{project_id}/keys/{key_id}/rotate",
        "/v1/projects/{project_id}/logs",
        "/v1/projects/{project_id}/analytics",
        "/v1/projects/{project_id}/queries",
        "/v1/projects/{project_id}/queries/{query_name}",
        "/v1/projects/{project_id}/queries/{query_name}/run",
        "/v1/projects/{project_id}/queries/{query_name}/versions",
        "/v1/projects/{project_id}/tables/{table}",
        "/v1/projects/{project_id}/tables/{table}/{key}",
        "/v1/projects/{project_id}/functions/{function}",
        "/v1/projects/{project_id}/openapi.json",
        "/v1/projects/{project_id}/types.py",
        "/v1/projects/{project_id}/types.ts",
    }
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["responses"]["400"]["content"]["application/json"]["schema"] == {
                "$ref": "#/components/schemas/ErrorBody"
            }


async def test_the_pages_load_nothing_from_elsewhere(gateway: Gateway) -> None:
    for path in ("/", "/docs"):
        page = await gateway.client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        for attribute in ('src="http', 'href="http', "//cdn", "@import"):
            assert attribute not in page.text


async def test_readiness_names_each_dependency(gateway: Gateway) -> None:
    ready = (await gateway.client.get("/readyz")).json()
    assert ready == {
        "status": "ready",
        "dependencies": {"keys": "ok", "postgres": "ok", "redis": "ok", "nats": "ok"},
    }
    metrics = (await gateway.client.get("/metrics")).text
    assert "dbify_gateway_logs_dropped_total" in metrics


async def test_logs_and_analytics_say_when_the_logger_is_down(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    path = f"/v1/projects/{project['projectId']}"
    for wanted in ("/logs", "/logs?from=2026-01-01T00:00:00Z&status=200&tableName=book", "/analytics?stepSeconds=60"):
        assert_refused(await gateway.call("GET", path + wanted), 503, "SERVICE_UNAVAILABLE")
    for wanted in (
        "/logs?from=yesterday",
        "/logs?from=2026-01-01T00:00:00",
        "/logs?statusClass=3",
        "/analytics?stepSeconds=1",
    ):
        assert_refused(await gateway.call("GET", path + wanted), 400, "INVALID_REQUEST")


def test_addresses_are_told_apart_by_class_alone() -> None:
    for address, expected in (
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("10.1.2.3", "private"),
        ("fd00::1", "private"),
        ("8.8.8.8", "public"),
        ("2606:4700::1111", "public"),
        ("unix", "public"),
    ):
        assert address_class(address) == expected


HOSTILE = (
    b"null", b"[]", b'"x"', b"0", b"{}", b"[" * 5000, b'{"a":' * 5000, b"\x00", b"\xff\xfe", b'{"name": "\\ud800"}',
    b'{"name": "\\u0000"}', b'{"name": ""}', b'{"name": "   "}', b'{"name": "' + b"x" * 5000 + b'"}', b'{"name": null}',
    b'{"name": 1e999}', b'{"name": NaN}', b'{"name": "a", "name": "b", "databaseUrl": "\\ud83d"}',
    b'{"email": "\\ud800@x.example", "password": "\\ud800aaaaaaaa"}',
    b'{"email": "a@b.example", "password": "\\u0000aaaaaaaa"}',
    b'{"graceSeconds": 1e30}', b'{"graceSeconds": 99999999999999999999999}', b'{"graceSeconds": "1"}',
    b'{"name": "x", "databaseUrl": "postgresql://u:p@\\u0000/d"}', b'{"name": "x", "databaseUrl": "postgresql://u:p@h:0/d"}',
    b'{"databaseUrl": ""}', b'{"databaseUrl": null}', b'{"name": "\xed\xa0\x80"}',
)  # fmt: skip


async def test_no_hostile_body_is_answered_by_a_defect(gateway: Gateway, bookshop: str) -> None:
    project = await gateway.register(bookshop)
    path = f"/v1/projects/{project['projectId']}"
    headers = {**gateway.headers, "Content-Type": "application/json"}
    for method, route in (
        ("POST", "/v1/accounts"),
        ("POST", "/v1/sessions"),
        ("POST", "/v1/tokens"),
        ("POST", "/v1/projects"),
        ("PATCH", path),
        ("POST", f"{path}/keys"),
        ("POST", f"{path}/keys/{project['keyId']}/rotate"),
        ("DELETE", f"{path}/keys/%00"),
        ("POST", "/query"),
    ):
        answers = await asyncio.gather(
            *(gateway.client.request(method, route, content=body, headers=headers) for body in HOSTILE)
        )
        for body, answer in zip(HOSTILE, answers, strict=True):
            assert answer.status_code < 500, (method, route, body[:60], answer.text)


async def test_no_hostile_address_is_answered_by_a_defect(gateway: Gateway) -> None:
    for path in (
        "/v1/projects/%00", "/v1/projects/\u0661", "/v1/tokens/%ff", "/v1/projects?after=%00",
        "/v1/projects?after=\uff11",
        "/v1/projects?limit=1e3", "/v1/projects?limit=99999999999999999999999",
        "/v1/tokens?after=" + "9" * 190,
        "/v1/projects?limit=1&limit=2", "/%2e%2e/etc/passwd", "//", "/v1/projects/1/logs?requestId=%00", "/docs/x",
        "/v1/projects/1/schema?x=%ed%a0%80", "/?%", "/openapi.json/x",
    ):  # fmt: skip
        for method in ("GET", "DELETE", "OPTIONS", "HEAD", "TRACE"):
            answer = await gateway.client.request(method, path, headers=gateway.headers)
            assert answer.status_code < 500, (method, path, answer.text)
    strange = {"Cookie": "dbify_session=\u00ff; a", "Origin": "http://[", "Host": "x:y:z"}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in strange.items()]
    answer = await gateway.client.post("/v1/tokens", json={}, headers=headers)
    assert answer.status_code in {401, 403}
