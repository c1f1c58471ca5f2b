"""What the logger does: store messages, answer questions."""
