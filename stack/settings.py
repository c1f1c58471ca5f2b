"""What a local run is told, and the secrets and ports it makes once and keeps."""

import base64
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.embedded import free_port
from stack.nats_config import USERS


class UsageError(Exception):
    """Something is wrong with how the stack was started; the message says what to do."""


@dataclass(frozen=True)
class Settings:
    """A local run's settings.

    Attributes:
        home: Where everything lives, absolute.
        port: The gateway's.
        gateways: How many gateway processes share it.
        verbose: Whether the services' logs are shown live.
        environ: The environment it was started with: a DBIFY_ variable in it goes before the default.
    """

    home: Path
    port: int
    gateways: int
    verbose: bool
    environ: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.port}"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings from the environment.

    Raises:
        UsageError: If a variable is malformed.
    """
    return Settings(
        home=Path(environ.get("DBIFY_HOME") or ".dbify").resolve(),
        port=_number(environ, "DBIFY_PORT", 8000, 65_535),
        gateways=_number(environ, "DBIFY_GATEWAYS", 2, 64),
        verbose=environ.get("V", "") not in {"", "0"},
        environ=environ,
    )


def _number(environ: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise UsageError(f"{name} is a whole number from 1 to {most}, such as {default}")
    return int(text)


@dataclass
class Memory:
    """What outlasts a run, in `state.json` that only its owner may read."""

    file: Path
    values: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, home: Path) -> "Memory":
        """What the home folder remembers, completed with new secrets where it does not."""
        file = home / "state.json"
        memory = cls(file, json.loads(file.read_text()) if file.exists() else {})
        memory._complete()
        return memory

    def get(self, name: str) -> str:
        """A remembered value, empty where there is none."""
        return self.values.get(name, "")

    def keep(self, **values: str) -> None:
        """Remember values, at once and whole."""
        self.values.update(values)
        write_private(self.file, json.dumps(self.values, indent=2))

    def port(self, name: str) -> int:
        """A port of this name: the same as last time as long as nothing else uses it."""
        known = self.get(f"port.{name}")
        port = int(known) if known and is_free(int(known)) else free_port()
        if str(port) != known:
            self.keep(**{f"port.{name}": str(port)})
        return port

    def _complete(self) -> None:
        fresh = {
            "masterKey": f"1:{_key()}",
            "signingKey": _key(),
            "postgresPassword": secrets.token_urlsafe(18),
            "platformPassword": secrets.token_urlsafe(18),
            "demoPassword": secrets.token_urlsafe(18),
            "valkeyPassword": secrets.token_urlsafe(18),
            "adminEmail": "admin@dbify.localhost",
            "adminPassword": secrets.token_urlsafe(18),
            **{f"nats.{user}": f"p{secrets.token_hex(16)}" for user in USERS},
        }
        missing = {name: value for name, value in fresh.items() if name not in self.values}
        if missing:
            self.keep(**missing)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, by rename, so that nobody sees half of it."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
        output.write(text)
    draft.replace(file)


def is_free(port: int) -> bool:
    """Whether nobody listens on the port, not even with SO_REUSEPORT."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
