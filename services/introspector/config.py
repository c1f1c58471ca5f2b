"""The introspector's settings, each from the variable of its name: `master_key` is DBIFY_MASTER_KEY."""

from typing import Annotated

import msgspec
from msgspec import Meta

_KEY = r"\s*[A-Za-z0-9_-]{1,32}:[A-Za-z0-9+/]{43}=\s*"
_NETWORK = r"\s*[0-9A-Fa-f.:]+(/[0-9]{1,3})?\s*"


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
        str,
        Meta(
            pattern=rf"^{_KEY}(,{_KEY})*$",
            description="the keys that database URLs are sealed with, of 32 bytes each",
            examples=["k1:BASE64,k0:BASE64"],
        ),
    ]
    allow_networks: Annotated[
        str,
        Meta(
            pattern=rf"^({_NETWORK}(,{_NETWORK})*,?)?$",
            description="private networks whose databases may be dialled",
            examples=["10.0.0.0/8,192.168.7.0/24"],
        ),
    ] = ""
    host: Annotated[str, Meta(description="the address to listen on", examples=["127.0.0.1"])] = "127.0.0.1"
