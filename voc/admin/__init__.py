"""Staff pages of voc."""

from voc.admin import feedback, releases, tickets

__all__ = ["feedback", "releases", "tickets"]
