"""The logger: request logs into ClickHouse, each exactly once, and what they add up to."""
