"""The libraries of others, unmodified, against the door."""
