"""What is written, and in which form: pure functions."""
