from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from libs.common import config
from libs.common.config import ConfigError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: Annotated[str, Meta(description="The database.", examples=["postgresql://u:p@h/d"], pattern="^post")]
    port: Annotated[int, Meta(description="The port to listen on.", examples=["8000"], ge=1, le=65535)] = 8000
    ratio: float = 0.5
    verbose: bool = False
    home: Annotated[Path, Meta(description="A folder.")] = Path("/tmp")
    networks: tuple[str, ...] = ("127.0.0.0/8",)
    public_url: str = "http://localhost"
    limit: int | None = None
    mode: Literal["open", "closed"] = "open"


URL = "postgresql://u:hunter2@h/d"


def test_every_type_is_read_from_its_variable() -> None:
    settings = config.load(
        Settings,
        {
            "DBIFY_DATABASE_URL": URL,
            "DBIFY_PORT": " 9000 ",
            "DBIFY_RATIO": "1e-2",
            "DBIFY_VERBOSE": "true",
            "DBIFY_HOME": "/var/lib",
            "DBIFY_NETWORKS": "10.0.0.0/8, 192.168.0.0/16",
            "DBIFY_LIMIT": "3",
            "DBIFY_MODE": "closed",
        },
    )
    assert settings == Settings(
        database_url=URL,
        port=9000,
        ratio=0.01,
        verbose=True,
        home=Path("/var/lib"),
        networks=("10.0.0.0/8", "192.168.0.0/16"),
        limit=3,
        mode="closed",
    )


def test_what_is_not_set_or_set_to_nothing_takes_its_default() -> None:
    assert config.load(Settings, {"DBIFY_DATABASE_URL": URL, "DBIFY_PORT": ""}) == Settings(database_url=URL)


def test_text_and_lists_may_be_set_to_nothing() -> None:
    settings = config.load(Settings, {"DBIFY_DATABASE_URL": URL, "DBIFY_NETWORKS": "", "DBIFY_PUBLIC_URL": ""})
    assert (settings.networks, settings.public_url) == ((), "")


@pytest.mark.parametrize("environ", [{}, {"DBIFY_DATABASE_URL": ""}])
def test_a_missing_variable_is_named_and_explained(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(Settings, environ)
    assert str(caught.value) == (
        "DBIFY_DATABASE_URL is not set: The database, for example DBIFY_DATABASE_URL=postgresql://u:p@h/d"
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DBIFY_PORT", "eighty", "DBIFY_PORT is malformed"),
        ("DBIFY_PORT", "0", "DBIFY_PORT is malformed"),
        ("DBIFY_PORT", "70000", "for example DBIFY_PORT=8000"),
        ("DBIFY_RATIO", "half", "DBIFY_RATIO is malformed"),
        ("DBIFY_VERBOSE", "perhaps", "DBIFY_VERBOSE is malformed"),
        ("DBIFY_MODE", "ajar", "DBIFY_MODE is malformed"),
        ("DBIFY_DATABASE_URL", "mysql://u:hunter2@h/d", "DBIFY_DATABASE_URL is malformed: The database"),
    ],
)
def test_a_malformed_variable_is_named_and_its_value_is_not(name: str, value: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(Settings, {"DBIFY_DATABASE_URL": URL, name: value})
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert value == "0" or value not in str(caught.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(Settings, {"DBIFY_PORT": "x", "DBIFY_RATIO": "y"})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == [
        "DBIFY_DATABASE_URL",
        "DBIFY_PORT",
        "DBIFY_RATIO",
    ]
