import pytest

from libs.common import config
from services.logger.config import Config

COMPLETE = {
    "DBIFY_NATS_URL": "nats://logger:secret@127.0.0.1:4222",
    "DBIFY_CLICKHOUSE_URL": "chdb:///var/lib/dbify/clickhouse",
    "DBIFY_HEALTH_PORT": "8102",
}


def test_three_variables_are_enough() -> None:
    loaded = config.load(Config, COMPLETE)
    assert (loaded.health_port, loaded.host, loaded.log_days, loaded.clickhouse_cluster) == (8102, "127.0.0.1", 30, "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DBIFY_CLICKHOUSE_URL", "mysql://user:secret@host/db"),
        ("DBIFY_CLICKHOUSE_URL", "chdb://"),
        ("DBIFY_NATS_URL", "http://user:secret@host"),
        ("DBIFY_HEALTH_PORT", "0"),
        ("DBIFY_LOG_DAYS", "0"),
        ("DBIFY_CLICKHOUSE_CLUSTER", "a' b"),
    ],
)
def test_a_malformed_variable_is_named_without_its_value(variable: str, value: str) -> None:
    with pytest.raises(config.ConfigError, match=variable) as caught:
        config.load(Config, {**COMPLETE, variable: value})
    assert "secret" not in str(caught.value)
