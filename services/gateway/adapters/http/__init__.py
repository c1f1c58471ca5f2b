"""The gateway over HTTP: `POST /query` straight to the hot path, everything else by Litestar."""
