"""One machine's Dbify: embedded dependencies, migrations, a demo database and the five services as real processes."""
