"""The demo's account and project, made through the API, and `demo.json`, which tells others of them."""

import json
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

from stack.client import Client, ClientError
from stack.demo import load
from stack.settings import Memory, Settings, write_private

_OK, _CREATED, _CONFLICT = 200, 201, 409


async def database(memory: Memory, admin_url: str, *, shared: bool) -> str:
    """The demo database's URL; made if it is not there. On a server that others may use too, its name is unique."""
    password, known = memory.get("demoPassword"), memory.get("demoName")
    if known and await load.is_there(load.url_of(admin_url, known, password)):
        return load.url_of(admin_url, known, password)
    name = known or (f"{load.NAME}_{secrets.token_hex(4)}" if shared else load.NAME)
    url = await load.make(admin_url, name, password)
    memory.keep(demoName=name)
    return url


async def project(settings: Settings, memory: Memory, database_url: str) -> None:
    """See to it that the account, its token and the project are there, and point at the demo database.

    Raises:
        ClientError: If the gateway refuses one of them.
    """
    client = Client(settings.url, token=memory.get("adminToken"))
    if not client.token or (await client.send("GET", "/v1/me")).status != _OK:
        client = await _log_in(settings, memory)
    known = memory.get("projectId")
    if known and (await client.send("GET", f"/v1/projects/{known}")).status == _OK:
        if memory.get("databaseUrl") != database_url:
            await client.expect(_OK, "PATCH", f"/v1/projects/{known}", {"databaseUrl": database_url})
            memory.keep(databaseUrl=database_url)
        return
    made = await client.expect(_CREATED, "POST", "/v1/projects", {"name": "Demo", "databaseUrl": database_url})
    memory.keep(
        projectId=made.text("projectId"),
        apiKey=made.text("apiKey"),
        keyId=made.text("keyId"),
        databaseUrl=database_url,
    )


async def _log_in(settings: Settings, memory: Memory) -> Client:
    """A client with a new token of the admin's account, which is made if it is not there."""
    client = Client(settings.url)
    credentials = {"email": memory.get("adminEmail"), "password": memory.get("adminPassword")}
    made = await client.send("POST", "/v1/accounts", credentials)
    if made.status not in {_CREATED, _CONFLICT}:
        raise ClientError(f"POST /v1/accounts answered {made.status}: {made.body.get('message')}")
    session = await client.expect(_CREATED, "POST", "/v1/sessions", credentials)
    client.cookie = session.cookie
    token = await client.expect(_CREATED, "POST", "/v1/tokens", {"name": "make run"})
    memory.keep(adminToken=token.text("token"))
    return Client(settings.url, token=token.text("token"))


def describe(settings: Settings, memory: Memory, nats_url: str) -> Mapping[str, object]:
    """What `demo.json` says."""
    server = urlsplit(nats_url)
    mail = settings.environ.get("DBIFY_MAIL_URL", f"file://{settings.home / 'mail'}")
    return {
        "url": settings.url,
        "projectId": int(memory.get("projectId")),
        "apiKey": memory.get("apiKey"),
        "keyId": memory.get("keyId"),
        "databaseUrl": memory.get("databaseUrl"),
        "natsUrl": f"nats://{server.hostname}:{server.port or 4222}",
        "dashboardUrl": f"{settings.url}/",
        "mailDir": urlsplit(mail).path if mail.startswith("file:") else None,
        "adminEmail": memory.get("adminEmail"),
        "adminPassword": memory.get("adminPassword"),
        "adminToken": memory.get("adminToken"),
    }


def write(settings: Settings, demo: Mapping[str, object]) -> None:
    """Write `demo.json`, whole or not at all."""
    write_private(settings.home / "demo.json", json.dumps(demo, indent=2) + "\n")
