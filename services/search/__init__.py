"""Search: not built yet."""
