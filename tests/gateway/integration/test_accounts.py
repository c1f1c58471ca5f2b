import asyncio

import httpx

from tests.gateway.answers import assert_refused
from tests.gateway.scene import PASSWORD, Gateway

OWN = {"Sec-Fetch-Site": "same-origin"}


async def _log_in(gateway: Gateway, email: str, password: str = PASSWORD) -> httpx.Response:
    return await gateway.client.post("/v1/sessions", json={"email": email, "password": password})


async def _email(gateway: Gateway) -> str:
    return str((await gateway.call("GET", "/v1/me")).json()["email"])


async def test_a_browser_logs_in_and_out(gateway: Gateway) -> None:
    email = await _email(gateway)
    answer = await _log_in(gateway, f"  {email.upper()} ")
    assert answer.status_code == 201, answer.text
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    client = gateway.client
    assert (await client.get("/v1/me")).json()["email"] == email
    held = dict(client.cookies)
    assert (await client.delete("/v1/sessions", headers=OWN)).status_code == 204
    assert_refused(await client.get("/v1/me"), 401, "UNAUTHENTICATED")
    client.cookies.update(held)
    assert_refused(await client.get("/v1/me"), 401, "UNAUTHENTICATED")


async def test_another_site_cannot_write_with_the_cookie(gateway: Gateway) -> None:
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ):
        await _log_in(gateway, await _email(gateway))
        answer = await gateway.client.post("/v1/tokens", json={"name": "x"}, headers=headers)
        assert_refused(answer, 403, "CSRF_REJECTED")


async def test_the_gateways_own_origin_can_write_with_the_cookie(gateway: Gateway) -> None:
    await _log_in(gateway, await _email(gateway))
    origin = {"Origin": f"http://127.0.0.1:{gateway.config.port}"}
    assert (await gateway.client.post("/v1/tokens", json={"name": "x"}, headers=origin)).status_code == 201


async def test_a_form_of_another_site_cannot_log_anybody_in(gateway: Gateway) -> None:
    answer = await gateway.client.post(
        "/v1/sessions",
        json={"email": await _email(gateway), "password": PASSWORD},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert_refused(answer, 403, "CSRF_REJECTED")


async def test_an_email_address_has_one_account(gateway: Gateway) -> None:
    body = {"email": (await _email(gateway)).title(), "password": PASSWORD}
    assert_refused(await gateway.client.post("/v1/accounts", json=body), 409, "EMAIL_TAKEN")


async def test_what_is_no_address_or_no_password_is_refused(gateway: Gateway) -> None:
    for email, password in (
        ("ada@example.com", "short"),
        ("ada@example.com", "x" * 1025),
        ("ada", PASSWORD),
        ("ada@", PASSWORD),
        ("a b@example.com", PASSWORD),
        ("ada@example.com\r\nBcc: eve@example.com", PASSWORD),
        ("ädä@example.com", PASSWORD),
        ("a" * 65 + "@example.com", PASSWORD),
        ("ada@example..com", PASSWORD),
        ("ada@-example.com", PASSWORD),
        ("", PASSWORD),
    ):
        answer = await gateway.client.post("/v1/accounts", json={"email": email, "password": password})
        assert_refused(answer, 400, "INVALID_REQUEST")


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(gateway: Gateway) -> None:
    wrong = await _log_in(gateway, await _email(gateway), "not this one")
    unknown = await _log_in(gateway, "nobody@example.com", "not this one")
    for answer in (wrong, unknown):
        assert_refused(answer, 401, "INVALID_CREDENTIALS")
    assert wrong.json()["message"] == unknown.json()["message"]


async def test_guessing_is_slowed_down(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(_log_in(gateway, "ada@example.com", f"guess number {n}") for n in range(14)))
    limited = [answer for answer in answers if answer.status_code == 429]
    assert len(limited) == 4
    assert_refused(limited[0], 429, "RATE_LIMITED")
    assert int(limited[0].headers["retry-after"]) > 0


async def test_tokens_are_listed_without_themselves_and_end_when_deleted(gateway: Gateway) -> None:
    made = (await gateway.call("POST", "/v1/tokens", {"name": "ci"})).json()
    assert made["token"].startswith("dbp_")
    listed = (await gateway.call("GET", "/v1/tokens")).json()["data"]
    assert [entry["name"] for entry in listed] == ["ci", "tests"]
    assert all("token" not in entry for entry in listed)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await gateway.client.get("/v1/me", headers=bearer)).status_code == 200
    assert (await gateway.call("DELETE", f"/v1/tokens/{made['id']}")).status_code == 204
    assert_refused(await gateway.client.get("/v1/me", headers=bearer), 401, "UNAUTHENTICATED")
    assert_refused(await gateway.call("DELETE", f"/v1/tokens/{made['id']}"), 404, "NOT_FOUND")
    assert_refused(await gateway.call("DELETE", "/v1/tokens/x"), 404, "NOT_FOUND")


async def test_a_token_that_is_none_is_refused(gateway: Gateway) -> None:
    for token in ("x", "dbp_", "dbp_" + "x" * 38, "dbk_" + "x" * 38, "ü", "a" * 10_000):
        answer = await gateway.client.get("/v1/me", headers={b"Authorization": b"Bearer " + token.encode()})
        assert_refused(answer, 401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"] == "Bearer"
