"""The introspector's settings, each from the variable of its name: `master_key` is DBIFY_MASTER_KEY."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True):
    """What the introspector needs to run."""

    nats_url: Annotated[
        str,
        Meta(
            description="the NATS server, with this service's user",
            examples=["nats://introspector:PASSWORD@host:4222"],
        ),
    ]
    database_url: Annotated[
        str, Meta(description="the platform database", examples=["postgresql://user:PASSWORD@host:5432/dbify"])
    ]
    health_port: Annotated[
        int, Meta(ge=0, le=65535, description="the port of /livez, /readyz and /metrics", examples=["8081"])
    ]
    master_key: Annotated[
        str, Meta(description="the keys that database URLs are sealed with", examples=["k1:BASE64,k0:BASE64"])
    ]
    allow_networks: Annotated[
        str,
        Meta(description="private networks whose databases may be dialled", examples=["10.0.0.0/8,192.168.7.0/24"]),
    ] = ""
    host: Annotated[str, Meta(description="the address to listen on", examples=["127.0.0.1"])] = "127.0.0.1"
