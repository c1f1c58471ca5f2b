"""The NATS server's configuration, rendered from `libs.common.access`."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from libs.common.access import ADMIN, SERVICES, access

ACCOUNT = "DBIFY"
SYSTEM = "system"
USERS = (*SERVICES, ADMIN, SYSTEM)


@dataclass(frozen=True)
class Passwords:
    """A password for each user of the server."""

    by_user: Mapping[str, str]

    @classmethod
    def random(cls) -> Self:
        """New ones. Hexadecimal after a letter: bare in a configuration file, a number would be read as one."""
        return cls({user: f"p{secrets.token_hex(16)}" for user in USERS})

    @classmethod
    def references(cls) -> Self:
        """References to the server's environment, for a configuration that may be shown: $NATS_GATEWAY_PASSWORD."""
        return cls({user: f"$NATS_{user.upper()}_PASSWORD" for user in USERS})

    def of(self, user: str) -> str:
        """A user's password."""
        return self.by_user[user]


def for_a_cluster() -> str:
    """The configuration for Kubernetes: passwords and the server's name from its environment, monitoring for probes."""
    return server_config(
        Passwords.references(),
        "0.0.0.0:4222",
        "/data",
        sync_interval="always",
        name="$POD_NAME",
        more=("http_port: 8222",),
    )


def server_config(
    passwords: Passwords,
    listen: str,
    store: str,
    *,
    sync_interval: str = "2m",
    name: str = "dbify",
    more: tuple[str, ...] = (),
) -> str:
    """The configuration file's text.

    Args:
        passwords: One for each of `USERS`.
        listen: host:port.
        store: JetStream's folder.
        sync_interval: How often JetStream flushes to disk, "always" for before every ack.
        name: The server's own, unique in a cluster.
        more: Further lines at the top level, such as monitoring.
    """
    users = ",\n".join(f"      {_user(service, passwords)}" for service in SERVICES)
    return "\n".join(
        [
            f"listen: {json.dumps(listen)}",
            f"server_name: {name}",
            "max_payload: 1048576",
            "jetstream {",
            f"  store_dir: {json.dumps(store)}",
            f"  sync_interval: {json.dumps(sync_interval)}",
            "}",
            *more,
            "accounts {",
            f"  {ACCOUNT} {{",
            "    jetstream: enabled",
            "    users: [",
            f"{users},",
            f"      {{user: {ADMIN}, password: {passwords.of(ADMIN)}}}",
            "    ]",
            "  }",
            f"  SYS {{ users: [{{user: {SYSTEM}, password: {passwords.of(SYSTEM)}}}] }}",
            "}",
            "system_account: SYS",
            "",
        ]
    )


def _user(service: str, passwords: Passwords) -> str:
    may = access(service)
    return (
        f"{{user: {service}, password: {passwords.of(service)}, permissions: {{"
        f"publish: {{allow: {json.dumps(may.publish)}}}, subscribe: {{allow: {json.dumps(may.subscribe)}}}, "
        'allow_responses: {max: 512, expires: "2m"}}}'
    )
