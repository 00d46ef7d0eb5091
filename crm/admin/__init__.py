"""Staff pages of crm: people, identity, consent, the door and its catalogue, keys, staff."""

from crm.admin import (
    accounts,
    api_keys,
    computed,
    consent,
    identity,
    imports,
    kinds,
    privacy,
    profiles,
    purchases,
    segments,
    sources,
    staff,
    warnings,
)

__all__ = [
    "accounts",
    "api_keys",
    "computed",
    "consent",
    "identity",
    "imports",
    "kinds",
    "privacy",
    "profiles",
    "purchases",
    "segments",
    "sources",
    "staff",
    "warnings",
]
