"""The notifier's settings, each from the variable of its name: `mail_url` is DBIFY_MAIL_URL."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True):
    """What the notifier needs to run."""

    nats_url: Annotated[
        str,
        Meta(description="the NATS server, with this service's user", examples=["nats://notifier:PASSWORD@host:4222"]),
    ]
    database_url: Annotated[
        str, Meta(description="the platform database", examples=["postgresql://user:PASSWORD@host:5432/dbify"])
    ]
    health_port: Annotated[
        int, Meta(ge=1, le=65535, description="the port of /livez, /readyz and /metrics", examples=["8083"])
    ]
    mail_url: Annotated[
        str,
        Meta(
            pattern=r"^(file:///.|ses://[a-z0-9-]+/?$)",
            description="where mails go: file:///FOLDER for .eml files, or ses://REGION (nothing else exists yet)",
            examples=["file:///var/lib/dbify/mail"],
        ),
    ]
    mail_from: Annotated[
        str,
        Meta(
            pattern=r"^[^\r\n]*[^@\s]+@[^@\s]+$",
            description="the mailbox that mails come from",
            examples=["Dbify <no-reply@example.com>"],
        ),
    ]
    host: Annotated[str, Meta(description="the address to listen on", examples=["127.0.0.1"])] = "127.0.0.1"
    public_url: Annotated[
        str, Meta(description="where users reach the API, shown in mails", examples=["https://api.example.com"])
    ] = ""
