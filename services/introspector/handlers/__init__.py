"""What is done when asked for a snapshot, and when a project comes or goes."""
