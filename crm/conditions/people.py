"""The facts that crm itself knows of people, registered for conditions.

Values of the profile are columns of the root, which took over what merged profiles knew; addresses and identifiers
are rows of any id the person ever had.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm import countries, facts
from crm.states import Channel, IdentifierKind, Language

WHO: Final = _("Person")
REACH: Final = _("Addresses and identifiers")
TRAITS: Final = _("Traits")
CHANGED: Final = "crm.profile.changed"
MOST_CHOICES: Final = 60
SAMPLE: Final = 20_000


def _seen(column: str) -> Any:
    """The values of a short column, read from the planner's statistics: no scan, whatever the number of people."""

    def read() -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT value FROM pg_stats, unnest(most_common_vals::text::text[]) AS value"
                " WHERE schemaname = current_schema() AND tablename = 'crm_profile' AND attname = %s AND value <> ''"
                " LIMIT %s",
                [column, MOST_CHOICES],
            )
            return [(value, value) for (value,) in cursor.fetchall()]

    return read


def _countries() -> list[tuple[str, str]]:
    """All countries by name, those that were seen first."""
    seen = [(code, countries.name(code)) for code, _same in _seen("country")()]
    return [*seen, *(one for one in countries.choices() if one not in seen)]


def _addresses(channel: str) -> Any:
    def rows(now: datetime) -> facts.Rows:
        return "SELECT profile_id, TRUE FROM crm_contactpoint WHERE channel = %s", [channel]

    return rows


def _reachable(channel: str) -> Any:
    """Addresses that may be written to: confirmed or of trusted origin, and not bounced."""

    def rows(now: datetime) -> facts.Rows:
        from crm.states import TRUSTED_ORIGINS

        return (
            "SELECT profile_id, TRUE FROM crm_contactpoint WHERE channel = %s AND bounced_at IS NULL"
            " AND (verified_at IS NOT NULL OR origin = ANY(%s))",
            [channel, [str(origin) for origin in TRUSTED_ORIGINS]],
        )

    return rows


def _identified(kind: str) -> Any:
    def rows(now: datetime) -> facts.Rows:
        return "SELECT profile_id, TRUE FROM crm_identity WHERE kind = %s", [kind]

    return rows


def _trait(key: str) -> facts.Fact | None:
    return facts.Fact(
        key=f"trait:{key}",
        label=key,
        type=facts.ANY,
        group=TRAITS,
        column="p.traits",
        choices=lambda: [(value, value) for value in trait_values(key)],
        changed_by=(CHANGED,),
    )


def trait_keys() -> list[str]:
    """The names of traits, from a sample of the newest people."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key FROM (SELECT traits FROM crm_profile ORDER BY id DESC LIMIT %s) p,"
            " jsonb_object_keys(p.traits) AS key GROUP BY key ORDER BY count(*) DESC, key LIMIT 200",
            [SAMPLE],
        )
        return [key for (key,) in cursor.fetchall()]


def trait_values(key: str) -> list[str]:
    """The most frequent short values of a trait, from a sample of the newest people."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT value FROM (SELECT traits ->> %s AS value FROM crm_profile ORDER BY id DESC LIMIT %s) p"
            " WHERE length(value) BETWEEN 1 AND 80 GROUP BY value ORDER BY count(*) DESC, value LIMIT %s",
            [key, SAMPLE, MOST_CHOICES],
        )
        return [value for (value,) in cursor.fetchall()]


def _listing() -> list[facts.Fact]:
    return [fact for key in trait_keys() if (fact := _trait(key)) is not None]


def register() -> None:
    """Enter the facts of crm into the registry."""
    own = {"group": WHO, "changed_by": (CHANGED,)}
    facts.register(
        "profile.language", label=_("language"), type=facts.CHOICE, column="p.language", choices=Language.choices[1:],
        phrases={"eq": _("speaks %(value)s"), "not eq": _("does not speak %(value)s")}, **own,
    )  # fmt: skip
    facts.register(
        "profile.country", label=_("country"), type=facts.CHOICE, column="p.country", choices=_countries,
        phrases={"eq": _("lives in %(value)s"), "not eq": _("does not live in %(value)s")}, **own,
    )  # fmt: skip
    facts.register(
        "profile.region", label=_("region"), type=facts.TEXT, column="p.region", choices=_seen("region"),
        phrases={"eq": _("lives in %(value)s"), "not eq": _("does not live in %(value)s")}, **own,
    )  # fmt: skip
    facts.register(
        "profile.time_zone", label=_("time zone"), type=facts.CHOICE, column="p.time_zone", choices=_seen("time_zone"),
        **own,
    )  # fmt: skip
    facts.register("profile.name", label=_("name"), type=facts.TEXT, column="p.display_name", **own)
    facts.register(
        "profile.birthday", label=_("birthday"), type=facts.DATE, column="p.birthday",
        phrases={
            "anniversary_in_days": _("has a birthday within the next %(value)s"),
            "not anniversary_in_days": _("has no birthday within the next %(value)s"),
        }, **own,
    )  # fmt: skip
    facts.register(
        "profile.birthday_month", label=_("month of birth"), type=facts.NUMBER,
        column="extract(month FROM p.birthday)", help=_("1 to 12."), **own,
    )  # fmt: skip
    facts.register(
        "profile.birthday_day", label=_("day of birth"), type=facts.NUMBER, column="extract(day FROM p.birthday)",
        help=_("1 to 31."), **own,
    )  # fmt: skip
    for key, label, column in (
        ("profile.first_seen", _("first seen"), "p.first_seen_at"),
        ("profile.last_seen", _("last seen"), "p.last_seen_at"),
        ("profile.created", _("known since"), "p.created_at"),
    ):
        facts.register(key, label=label, type=facts.MOMENT, column=column, **own)
    for channel in (Channel.EMAIL, Channel.SMS, Channel.WECHAT):
        facts.register(
            f"contact.{channel.value}", label=_ADDRESS[channel], type=facts.BOOLEAN, group=REACH,
            rows=_addresses(channel.value), changed_by=(CHANGED,),
            phrases={"eq": _HAS[channel], "not eq": _HAS_NO[channel]},
        )  # fmt: skip
        facts.register(
            f"reachable.{channel.value}", label=_REACHABLE[channel], type=facts.BOOLEAN, group=REACH,
            rows=_reachable(channel.value), changed_by=(CHANGED,),
            phrases={"eq": _CAN_REACH[channel], "not eq": _CANNOT_REACH[channel]},
        )  # fmt: skip
    facts.register(
        "identity.user_id", label=_("user ID"), type=facts.BOOLEAN, group=REACH, changed_by=(CHANGED,),
        rows=_identified(IdentifierKind.USER_ID.value),
        phrases={"eq": _("is a registered user"), "not eq": _("is not a registered user")},
    )  # fmt: skip
    facts.register_family("trait", label=TRAITS, find=_trait, listing=_listing)


_ADDRESS: Final = {
    Channel.EMAIL: pgettext_lazy("fact", "e-mail address"),
    Channel.SMS: pgettext_lazy("fact", "phone number"),
    Channel.WECHAT: pgettext_lazy("fact", "WeChat account"),
}
_HAS: Final = {
    Channel.EMAIL: _("has an e-mail address"),
    Channel.SMS: _("has a phone number"),
    Channel.WECHAT: _("has a WeChat account"),
}
_HAS_NO: Final = {
    Channel.EMAIL: _("has no e-mail address"),
    Channel.SMS: _("has no phone number"),
    Channel.WECHAT: _("has no WeChat account"),
}
_REACHABLE: Final = {
    Channel.EMAIL: _("reachable by e-mail"),
    Channel.SMS: _("reachable by text message"),
    Channel.WECHAT: _("reachable on WeChat"),
}
_CAN_REACH: Final = {
    Channel.EMAIL: _("can be reached by e-mail"),
    Channel.SMS: _("can be reached by text message"),
    Channel.WECHAT: _("can be reached on WeChat"),
}
_CANNOT_REACH: Final = {
    Channel.EMAIL: _("cannot be reached by e-mail"),
    Channel.SMS: _("cannot be reached by text message"),
    Channel.WECHAT: _("cannot be reached on WeChat"),
}

register()
