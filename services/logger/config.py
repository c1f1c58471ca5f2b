"""The logger's settings, read once from the environment and checked at start."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Config(msgspec.Struct, frozen=True):
    """Every setting of the logger; `field_name` is the variable `DBIFY_FIELD_NAME`."""

    nats_url: Annotated[
        str,
        Meta(
            description="The NATS server, with the logger's user and password.",
            examples=["nats://logger:password@127.0.0.1:4222"],
            pattern=r"^(nats|tls)://",
        ),
    ]
    clickhouse_url: Annotated[
        str,
        Meta(
            description="Where logs are kept: a folder for the embedded engine, or a ClickHouse server and database.",
            examples=["chdb:///var/lib/dbify/clickhouse", "http://user:password@127.0.0.1:8123/dbify"],
            pattern=r"^(chdb:///.|https?://.)",
        ),
    ]
    health_port: Annotated[
        int, Meta(description="Port of /livez, /readyz and /metrics.", examples=["8102"], ge=1, le=65535)
    ]
    host: Annotated[str, Meta(description="Address that port listens on.", examples=["127.0.0.1"])] = "127.0.0.1"
    clickhouse_cluster: Annotated[
        str,
        Meta(
            description="The ClickHouse cluster's name: tables are then replicated. Empty for a single server.",
            examples=["main"],
            pattern=r"^[A-Za-z0-9_-]{0,64}$",
        ),
    ] = ""
    log_days: Annotated[
        int, Meta(description="Days each request's record is kept.", examples=["30"], ge=1, le=3650)
    ] = 30
    analytics_days: Annotated[
        int, Meta(description="Days the per-minute totals are kept.", examples=["400"], ge=1, le=3650)
    ] = 400
