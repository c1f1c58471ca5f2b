"""The introspector: knows what stands in the users' databases, and when that changes."""
