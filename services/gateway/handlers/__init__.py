"""The gateway's use cases, over Protocols that stand beside them."""
