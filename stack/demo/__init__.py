"""The demo database: the tables of Dbify's first examples, and a small shop with ten thousand believable rows."""
