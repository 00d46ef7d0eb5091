"""Erasure: a person's data goes, a tombstone stays.

Wiped: typed values, traits, identifiers, contact points, what their touchpoints say, and the values that merges
and suggestions remember. Kept: that there was a row (so nothing dangles), the bare dates and kinds of touchpoints
(so counts stay true), consent decisions, which are append-only and hold no personal value, and
the hash of each address, so that it is not written to again.
"""

from __future__ import annotations

from datetime import datetime

from django.db import connection, transaction
from django.utils.translation import gettext as _

from crm.addresses import address_hash
from crm.kernel import actionlog, reactions
from crm.kernel.actors import Actor
from crm.kernel.errors import NotFound
from crm.models import ContactPoint, Identity, MergeRecord, MergeSuggestion, Profile
from crm.selectors import profiles as profile_selectors
from crm.services import profiles, retry, suppressions
from crm.states import SuggestionStatus, SuppressionReason


@retry.on_conflict
def erase(profile_id: int, *, actor: Actor, now: datetime) -> int:
    """Erase the person behind a profile id. Returns the root id; repeating it changes nothing. Raises NotFound.

    Publishes `crm.profile.erased` with all ids of the person, for what other apps keep.
    """
    with transaction.atomic():
        locked = profiles.lock_roots([profile_id])
        if profile_id not in locked:
            raise NotFound(_("There is no such person."))
        root = locked[profile_id]
        if root.erased_at is not None:
            return root.pk
        ids = profile_selectors.id_sets([root.pk])[root.pk]
        addresses = set(ContactPoint.objects.filter(profile_id__in=ids).values_list("channel", "value_hash"))
        for kind, channel in (("email", "email"), ("phone", "sms")):
            held = Identity.objects.filter(profile_id__in=ids, kind=kind).values_list("value", flat=True)
            addresses |= {(channel, address_hash(channel, value)) for value in held}
        for channel, value_hash in sorted(addresses):
            suppressions.add_hash(
                channel, value_hash, purpose="", reason=SuppressionReason.ERASED, actor=actor, now=now
            )
        ContactPoint.objects.filter(profile_id__in=ids).delete()
        Identity.objects.filter(profile_id__in=ids).delete()
        Profile.objects.filter(pk__in=ids).update(
            display_name="", family_name="", given_name="", name_sort="", search_tokens=[], language="",
            time_zone="", birthday=None, birthday_is_lunar=False, country="", region="", traits={},
            value_sources={}, erased_at=now,
        )  # fmt: skip
        MergeRecord.objects.filter(winner_id__in=ids).update(changes={})
        MergeSuggestion.objects.filter(first_id__in=ids, status=SuggestionStatus.OPEN).update(
            status=SuggestionStatus.DISMISSED, decided_at=now
        )
        MergeSuggestion.objects.filter(second_id__in=ids, status=SuggestionStatus.OPEN).update(
            status=SuggestionStatus.DISMISSED, decided_at=now
        )
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE crm_touchpoint SET properties = '{}', context = NULL WHERE profile_id = ANY(%s)"
                " AND (properties <> '{}' OR context IS NOT NULL)",
                [ids],
            )
        actionlog.write(actor, "crm.profile.erased", root, now=now)
        reactions.publish("crm.profile.erased", ids, now=now)
    return root.pk
