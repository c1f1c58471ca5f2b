"""What the gateway is told from outside."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of the gateway; the variable of `field_name` is DBIFY_FIELD_NAME."""

    database_url: Annotated[
        str, Meta(description="The platform database.", examples=["postgresql://dbify:secret@localhost:5432/dbify"])
    ]
    nats_url: Annotated[
        str,
        Meta(description="NATS, with the gateway's own user.", examples=["nats://gateway:secret@localhost:4222"]),
    ]
    redis_url: Annotated[str, Meta(description="Redis or Valkey; may be down.", examples=["redis://localhost:6379/0"])]
    master_key: Annotated[
        str,
        Meta(description="Seals database URLs: the first key seals, all of them open.", examples=["1:BASE64_32_BYTES"]),
    ]
    signing_key: Annotated[
        str, Meta(description="Signs cursors and links: 32 bytes in base64.", examples=["BASE64_32_BYTES"])
    ]
    spool_dir: Annotated[
        str,
        Meta(description="Where request logs wait while NATS is down.", examples=["/var/lib/dbify/spool"]),
    ]
    host: Annotated[str, Meta(description="The address to listen on.", examples=["0.0.0.0"])] = "127.0.0.1"  # noqa: S104  an example
    port: Annotated[int, Meta(description="The port to listen on.", examples=["8000"], ge=1, le=65535)] = 8000
    allow_networks: Annotated[
        str,
        Meta(
            description="Networks of private databases that may be registered, comma-separated.",
            examples=["10.0.0.0/8,127.0.0.0/8"],
        ),
    ] = ""
    public_url: Annotated[
        str, Meta(description="Where users reach the gateway, for links.", examples=["https://api.example.com"])
    ] = ""
    signup: Annotated[
        Literal["open", "closed"], Meta(description="Whether anybody may make an account.", examples=["closed"])
    ] = "open"
