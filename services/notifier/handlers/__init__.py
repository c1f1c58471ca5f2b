"""Use cases, over the Protocols they declare."""
