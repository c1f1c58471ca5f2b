import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from stack import children
from stack.children import StartError

STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"


async def _never() -> bool:
    return False


async def test_a_process_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    child = children.spawn(tmp_path, "one", [sys.executable, "-c", "print('no such table'); raise SystemExit(3)"])
    with pytest.raises(StartError, match=r"one ended with status 3:\nno such table"):
        await children.ready(child, _never)


async def test_a_process_that_does_not_get_ready_is_reported_after_the_limit(tmp_path: Path) -> None:
    child = children.spawn(tmp_path, "slow", [sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(StartError, match="slow was not ready within"):
        await children.ready(child, _never, limit_s=0.1)
    await child.stop()


async def test_a_process_that_ignores_the_signal_is_ended_after_the_limit(tmp_path: Path) -> None:
    child = children.spawn(tmp_path, "stubborn", [sys.executable, "-c", STUBBORN])

    async def up() -> bool:
        return "up" in child.tail()

    await children.ready(child, up)
    await child.stop(limit_s=0.2)
    assert child.process.returncode == -signal.SIGKILL
    assert not child.pid_file.exists()


def test_what_an_earlier_run_left_is_ended_by_the_next_start(tmp_path: Path) -> None:
    first = children.spawn(tmp_path, "one", [sys.executable, "-c", "import time; time.sleep(60)"])
    second = children.spawn(tmp_path, "one", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert not first.running
    assert children.alive(second.pid_file) is not None
    second.kill()


def test_a_stranger_with_the_same_process_id_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pid_file = tmp_path / "one.pid"
    pid_file.write_text(f"{stranger.pid}\n{psutil.Process(stranger.pid).create_time() - 3600}\n")
    assert not children.reclaim(pid_file)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


@pytest.mark.parametrize("text", ["", "12", "x y", "999999999 1.0"])
def test_a_pid_file_that_makes_no_sense_is_nobody_s(tmp_path: Path, text: str) -> None:
    pid_file = tmp_path / "one.pid"
    pid_file.write_text(text)
    assert children.alive(pid_file) is None


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = f"""
        import sys, time
        from pathlib import Path
        from stack import children
        children.spawn(Path({str(tmp_path)!r}), "one", [sys.executable, "-c", "import time; time.sleep(60)"])
        print("spawned", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"spawned\n"
    child = children.alive(tmp_path / "run" / "one.pid")
    assert child is not None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    if sys.platform != "linux":
        children.reclaim(tmp_path / "run" / "one.pid")
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no signal at a parent's end")
def test_a_runner_under_make_ends_when_make_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    runner = f"""
        import time
        from pathlib import Path
        from stack import children
        children.end_with_parent()
        Path({str(ready)!r}).touch()
        time.sleep(60)
    """
    make = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {textwrap.dedent(runner)!r}])"
    process = subprocess.Popen([sys.executable, "-c", make])
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs([child], timeout=10)
    assert not alive
