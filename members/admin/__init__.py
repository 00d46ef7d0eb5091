"""Staff pages of members."""

from members.admin import points

__all__ = ["points"]
