"""Staff pages of crm: people, identity, consent, sources and keys, staff."""

from crm.admin import consent, identity, profiles, sources, staff

__all__ = ["consent", "identity", "profiles", "sources", "staff"]
