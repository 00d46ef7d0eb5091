"""Lists that come in."""
