"""Whole systems with real processes, parts of which are killed."""
