"""Settings: what is malformed names itself at the start, and never its value."""

import pytest

from libs.common import config
from services.introspector.config import Config

KEY = "A" * 43 + "="
GIVEN = {
    "DBIFY_NATS_URL": "nats://introspector:p@h:4222",
    "DBIFY_DATABASE_URL": "postgresql://u:p@h/d",
    "DBIFY_HEALTH_PORT": "8081",
    "DBIFY_MASTER_KEY": f"k1:{KEY}, k0:{KEY}",
}


@pytest.mark.parametrize("networks", ["", "10.0.0.0/8", "10.0.0.0/8, fd00::/8,127.0.0.1/32,"])
def test_well_formed_settings_are_taken(networks: str) -> None:
    assert config.load(Config, {**GIVEN, "DBIFY_ALLOW_NETWORKS": networks}).allow_networks == networks


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DBIFY_MASTER_KEY", "secret-but-short"),
        ("DBIFY_MASTER_KEY", f"{KEY}"),
        ("DBIFY_MASTER_KEY", f"k1:{KEY};k2:{KEY}"),
        ("DBIFY_ALLOW_NETWORKS", "localnet"),
        ("DBIFY_ALLOW_NETWORKS", "10.0.0.0/8;127.0.0.0/8"),
        ("DBIFY_HEALTH_PORT", "99999"),
    ],
)
def test_malformed_settings_name_themselves(variable: str, value: str) -> None:
    with pytest.raises(config.ConfigError, match=f"{variable} is malformed") as refusal:
        config.load(Config, {**GIVEN, variable: value})
    if variable == "DBIFY_MASTER_KEY":
        assert value not in str(refusal.value)
