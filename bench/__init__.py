"""Benchmarks: the gateway and its baselines in the same run, on the same database."""
