"""`python -m stack`: run Dbify on this machine, look at it, and migrate servers anywhere."""

import argparse
import asyncio
import fcntl
import json
import os
import sys
from pathlib import Path

import nats.errors

from stack import children, migrate, nats_config, orders
from stack.banner import banner
from stack.children import StartError
from stack.client import ClientError
from stack.run import run
from stack.settings import Settings, UsageError, read

_FAILURES = (UsageError, StartError, ClientError, orders.OrderError, migrate.MigrationError, nats.errors.Error)


def main() -> int:
    """Carry out the command line; the exit status."""
    arguments = _parser().parse_args()
    try:
        return _carry_out(arguments)
    except _FAILURES as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("run", help="start the servers, the services and the demo, until Ctrl-C")
    start.add_argument("--with-parent", action="store_true", help="end too when whoever started it is killed")
    commands.add_parser("status", help="what runs, and the banner again")
    commands.add_parser("migrate", help="bring DBIFY_DATABASE_URL and the streams of DBIFY_NATS_URL up to date")
    commands.add_parser("nats-config", help="print the NATS server's configuration, passwords as $NATS_USER_PASSWORD")
    for verb in orders.VERBS:
        one = commands.add_parser(verb, help=f"{verb} one part of a running stack")
        one.add_argument("part", help="its name, as `status` shows it")
    return parser


def _carry_out(arguments: argparse.Namespace) -> int:
    command: str = arguments.command
    if command == "migrate":
        for name in asyncio.run(migrate.everything(os.environ)):
            print(f"applied {name}")
    elif command == "nats-config":
        print(nats_config.for_a_cluster(), end="")
    elif command == "run":
        if arguments.with_parent:
            children.end_with_parent()
        asyncio.run(run(read(os.environ)))
    elif command == "status":
        return status(read(os.environ))
    else:
        verb = next(verb for verb in orders.VERBS if verb == command)
        asyncio.run(orders.give(read(os.environ).home, arguments.part, verb))
    return 0


def status(settings: Settings) -> int:
    """Print the state of each part and the banner; 0 where the stack is up."""
    if not _held(settings.home / "lock"):
        print(f"Dbify does not run in {settings.home}: start it with `make run`")
        return 1
    for pid_file in sorted((settings.home / "run").glob("*.pid")):
        process = children.alive(pid_file)
        print(f"  {pid_file.stem:<16} {f'running, process {process.pid}' if process else 'not running'}")
    demo = settings.home / "demo.json"
    if not demo.exists():
        print("  still starting, or without the demo")
        return 1
    print(banner(json.loads(demo.read_text())))
    return 0


def _held(lock: Path) -> bool:
    """Whether a run holds the folder."""
    if not lock.exists():
        return False
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
