"""The notifier: tells people what happened to their projects."""
