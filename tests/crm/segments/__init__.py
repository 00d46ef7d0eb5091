"""Segments: rules, passes, follow-up, lists and exports."""
