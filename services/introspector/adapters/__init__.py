"""One module a technology."""
