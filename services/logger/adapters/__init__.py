"""ClickHouse and JetStream."""
