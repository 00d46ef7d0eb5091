"""Names of people with the addresses of their pages in the staff tool, for the pages of other apps."""

from __future__ import annotations

from collections.abc import Iterable

from django.urls import NoReverseMatch, reverse

from crm.selectors import profiles


def person_links(profile_ids: Iterable[int | None]) -> dict[int, tuple[str, str]]:
    """(name, address of the customer page) by profile id; unknown ids are left out. Two queries."""
    cards = profiles.cards({ident for ident in profile_ids if ident is not None})
    return {ident: (card.name, profile_url(card.id)) for ident, card in cards.items()}


def person_link(profile_id: int) -> tuple[str, str]:
    """(name, address of the customer page) of one person; a number without an address for an unknown id."""
    return person_links([profile_id]).get(profile_id, (f"#{profile_id}", ""))


def profile_url(profile_id: int) -> str:
    """The customer page; empty where the staff tool is not mounted."""
    try:
        return reverse("admin:crm_profile_change", args=[profile_id])
    except NoReverseMatch:
        return ""
