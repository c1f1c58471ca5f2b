"""Messages, questions and answers as values: no clock, no I/O."""
