import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, sys
import msgspec
from typing import Annotated
from libs.common import process

class Config(msgspec.Struct, frozen=True):
    nats_url: Annotated[str, msgspec.Meta(description="Where NATS is.", examples=["nats://u:p@localhost:4222"])]
    how: str = "wait"

async def run(config, stop):
    print(type(asyncio.get_running_loop()).__module__, flush=True)
    if config.how == "malformed":
        from libs.common.bus import connect
        async with connect("http://u:hunter2@h", "example"):
            pass
    if config.how == "fail":
        raise RuntimeError("no " + config.nats_url)
    if config.how == "hang":
        await asyncio.Event().wait()
    if config.how == "wait":
        await stop.wait()
    print("flushed", flush=True)

run.__module__ = "services.example.main"
process.main(Config, run)
"""
URL = "nats://gateway:hunter2@localhost:4222"


async def start(**environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", PROGRAM,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_a_service_cleanly(number: signal.Signals) -> None:
    process = await start(DBIFY_NATS_URL=URL)
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"uvloop")
    process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert out == b"flushed\n"
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["message"] for line in lines] == ["example starts", "example ends"]
    assert {line["service"] for line in lines} == {"example"}


async def test_a_second_signal_ends_a_service_that_hangs() -> None:
    process = await start(DBIFY_NATS_URL=URL, DBIFY_HOW="hang")
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1


async def test_an_error_is_logged_without_secrets_and_ends_with_1() -> None:
    process = await start(DBIFY_NATS_URL=URL, DBIFY_HOW="fail")
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    last = json.loads(err.splitlines()[-1])
    assert last["level"] == "error"
    assert "RuntimeError" in last["exception"]
    assert b"hunter2" not in err


async def test_missing_settings_are_named_and_end_with_2() -> None:
    process = await start()
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert err.decode() == (
        "example: the settings are not right.\n"
        "DBIFY_NATS_URL is not set: Where NATS is, for example DBIFY_NATS_URL=nats://u:p@localhost:4222\n"
    )


async def test_a_setting_that_only_its_user_can_judge_ends_with_2_too() -> None:
    process = await start(DBIFY_NATS_URL=URL, DBIFY_HOW="malformed")
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert b"DBIFY_NATS_URL is malformed: a NATS URL looks like nats://user:password@host:4222" in err
    assert b"hunter2" not in err
