"""Random tokens for public addresses."""

import secrets


def public_token() -> str:
    """128 random bits, URL-safe: knowing one page says nothing about another."""
    return secrets.token_urlsafe(16)
