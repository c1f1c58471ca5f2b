"""Requests as values: from bytes to a plan, with no clock, randomness or I/O."""
