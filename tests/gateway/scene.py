"""Gateways as they run: `main.run` in this process, on a free port, with an introspector beside them."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from services.gateway import main as gateway_main
from services.gateway.config import Config
from services.introspector import main as introspector_main
from services.introspector.config import Config as IntrospectorConfig
from stack import embedded

MASTER_KEY = f"test:{base64.b64encode(bytes(32)).decode()}"
LOOPBACK = "127.0.0.0/8,::1/128"
PASSWORD = "correct horse battery"

_PATIENCE_S = 20.0


@dataclass
class Gateway:
    """A running gateway and a client of it."""

    config: Config
    client: httpx.AsyncClient
    headers: dict[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: object = None, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, json=body, headers=self.headers, **more)

    async def sign_up(self) -> Self:
        """As a new account, with its token."""
        email = f"{secrets.token_hex(6)}@example.com"
        made = await self.client.post("/v1/accounts", json={"email": email, "password": PASSWORD})
        assert made.status_code == 201, made.text
        login = await self.client.post("/v1/sessions", json={"email": email, "password": PASSWORD})
        assert login.status_code == 201, login.text
        token = await self.client.post("/v1/tokens", json={"name": "tests"}, headers={"Sec-Fetch-Site": "same-origin"})
        assert token.status_code == 201, token.text
        self.client.cookies.clear()
        return type(self)(self.config, self.client, {"Authorization": f"Bearer {token.json()['token']}"})

    async def register(self, url: str, name: str = "shop") -> dict[str, Any]:
        answer = await self.call("POST", "/v1/projects", {"name": name, "databaseUrl": url})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def query(self, api_key: str, **body: Any) -> httpx.Response:
        asked = {"operation": "read", "tableName": "book", "payload": {}, **body}
        return await self.client.post("/query", json=asked, headers={"Authorization": f"Bearer {api_key}"})


@asynccontextmanager
async def gateway(
    platform: str, nats_url: str, redis_url: str, spool: Path, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Gateway]:
    config = Config(
        database_url=platform,
        nats_url=nats_url,
        redis_url=redis_url,
        master_key=MASTER_KEY,
        signing_key=base64.b64encode(bytes(32)).decode(),
        spool_dir=str(spool),
        port=embedded.free_port(),
        allow_networks=LOOPBACK,
        **(settings or {}),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(gateway_main.run(config, stop))
    base = f"http://127.0.0.1:{config.port}"
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=30))
        stack.push_async_callback(_end, running, stop)
        await until_ready(client, running)
        yield Gateway(config, client)


@asynccontextmanager
async def introspector(platform: str, nats_url: str) -> AsyncIterator[None]:
    config = IntrospectorConfig(
        nats_url=nats_url,
        database_url=platform,
        health_port=embedded.free_port(),
        master_key=MASTER_KEY,
        allow_networks=LOOPBACK,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(introspector_main.run(config, stop))
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{config.health_port}") as client:
            await until_ready(client, running)
        yield
    finally:
        await _end(running, stop)


async def until_ready(client: httpx.AsyncClient, running: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not running.done():
            try:
                if (await client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
    await running


async def _end(running: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    stop.set()
    await running
