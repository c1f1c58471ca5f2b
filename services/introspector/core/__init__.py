"""From the rows of a catalog to a version of a schema: pure functions."""
