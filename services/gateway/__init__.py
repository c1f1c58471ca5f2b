"""The gateway: HTTP in, rows out."""
