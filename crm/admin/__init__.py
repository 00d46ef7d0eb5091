"""Staff pages of crm: people, identity, consent, the door and its catalogue, keys, staff."""

from crm.admin import api_keys, consent, identity, kinds, profiles, segments, sources, staff, warnings

__all__ = [
    "api_keys",
    "consent",
    "identity",
    "kinds",
    "profiles",
    "segments",
    "sources",
    "staff",
    "warnings",
]
