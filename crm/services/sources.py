"""Sources and API keys: made, read by the door, replaced, limited, switched off."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from crm.kernel import actionlog
from crm.kernel.actors import Actor
from crm.kernel.errors import Conflict, Invalid, NotFound
from crm.models import ApiKey, RetiredKey, Source
from crm.states import Trust

SCOPE = re.compile(r"[a-z]+\.[a-z_]+:(read|write)")
LONGEST_OVERLAP = timedelta(days=90)
USED_EVERY = timedelta(minutes=5)
MOST_EVENTS = 10_000_000


def create(name: str, *, trust: str, actor: Actor, now: datetime) -> Source:
    """A new source with a fresh write key. Raises Conflict `name_taken`, Invalid."""
    clean = " ".join(name.split())
    if not clean or len(clean) > 120:
        raise Invalid(
            _("A source needs a name of at most 120 characters."), code="invalid_name", field="name"
        )
    if trust not in Trust.values:
        raise Invalid(
            _("There is no such trust."), code="invalid_choice", field="trust", allowed=Trust.values
        )
    with transaction.atomic():
        source, created = Source.objects.get_or_create(
            name=clean, defaults={"trust": trust, "write_key": _write_key(trust), "created_at": now}
        )
        if not created:
            raise Conflict(_("There is a source of that name already."), code="name_taken", field="name")
        actionlog.write(actor, "crm.source.created", source, fields=("name", "trust"), now=now)
    return source


def get_or_create(name: str, *, trust: str, actor: Actor, now: datetime) -> tuple[Source, bool]:
    """The source of that name, made when there is none; Conflict `other_trust` when its trust is another one."""
    found = Source.objects.filter(name=" ".join(name.split())).first()
    if found is None:
        return create(name, trust=trust, actor=actor, now=now), True
    if found.trust != trust:
        raise Conflict(_("The source of that name has another trust."), code="other_trust", field="trust")
    return found, False


def rotate(source_id: int, *, works_until: datetime | None = None, actor: Actor, now: datetime) -> Source:
    """Issue a new write key. The old one opens the door until `works_until` (at most LONGEST_OVERLAP from now), or
    stops within the five seconds of the door's cache when no time is given. Raises NotFound, Invalid."""
    if works_until is not None and not now < works_until <= now + LONGEST_OVERLAP:
        raise Invalid(
            _("The old key works until a time within the next %(days)d days.") % {"days": LONGEST_OVERLAP.days},
            code="invalid_time", field="works_until",
        )  # fmt: skip
    with transaction.atomic():
        source = _locked(source_id)
        RetiredKey.objects.create(
            source=source, write_key=source.write_key, retired_at=now, works_until=works_until or now,
            revoked_at=None if works_until else now,
        )  # fmt: skip
        source.write_key = _write_key(source.trust)
        source.save(update_fields=["write_key"])
        actionlog.write(actor, "crm.source.rotated", source, fields=("write_key",), now=now)
    return source


def revoke_retired_key(key_id: int, *, actor: Actor, now: datetime) -> RetiredKey:
    """Close the door to a replaced key before its time. Raises NotFound."""
    with transaction.atomic():
        key = RetiredKey.objects.select_for_update().select_related("source").filter(pk=key_id).first()
        if key is None:
            raise NotFound(_("There is no such key."))
        if key.revoked_at is None and key.works_until > now:
            key.revoked_at = now
            key.save(update_fields=["revoked_at"])
            actionlog.write(actor, "crm.source.key_revoked", key.source, fields=("write_key",), now=now)
    return key


def find_by_key(write_key: str, *, now: datetime) -> Source | None:
    """The active source that a present or replaced key opens the door for. That a replaced key is still in use is
    noted, at most every USED_EVERY."""
    source = Source.objects.filter(write_key=write_key, is_active=True).first()
    if source is not None:
        return source
    retired = (
        RetiredKey.objects.select_related("source")
        .filter(write_key=write_key, revoked_at=None, works_until__gt=now, source__is_active=True)
        .first()
    )
    if retired is None:
        return None
    if retired.last_used_at is None or now - retired.last_used_at >= USED_EVERY:
        RetiredKey.objects.filter(pk=retired.pk).update(last_used_at=now)
    return retired.source


def set_limits(
    source_id: int, *, rate_limit: int | None, burst_limit: int | None, actor: Actor, now: datetime
) -> Source:
    """Give a source limits of its own; None means those of the knobs. Raises NotFound, Invalid."""
    for name, value in (("rate_limit", rate_limit), ("burst_limit", burst_limit)):
        if value is not None and not 1 <= value <= MOST_EVENTS:
            raise Invalid(
                _("A limit is a whole number from 1 to %(most)d, or empty.") % {"most": MOST_EVENTS},
                code="invalid_limit", field=name, allowed={"minimum": 1, "maximum": MOST_EVENTS},
            )  # fmt: skip
    with transaction.atomic():
        source = _locked(source_id)
        wanted = {"rate_limit": rate_limit, "burst_limit": burst_limit}
        changed = [name for name, value in wanted.items() if getattr(source, name) != value]
        if changed:
            source.rate_limit, source.burst_limit = rate_limit, burst_limit
            source.save(update_fields=changed)
            actionlog.write(actor, "crm.source.limited", source, fields=changed, now=now)
    return source


def _locked(source_id: int) -> Source:
    source = Source.objects.select_for_update().filter(pk=source_id).first()
    if source is None:
        raise NotFound(_("There is no such source."))
    return source


def set_active(source_id: int, *, active: bool, actor: Actor, now: datetime) -> Source:
    """Switch a source on or off."""
    with transaction.atomic():
        changed = Source.objects.filter(pk=source_id).exclude(is_active=active).update(is_active=active)
        source = Source.objects.filter(pk=source_id).first()
        if source is None:
            raise NotFound(_("There is no such source."))
        if changed:
            actionlog.write(actor, "crm.source.switched", source, fields=("is_active",), now=now)
    return source


def create_api_key(name: str, *, scopes: Sequence[str], actor: Actor, now: datetime) -> tuple[ApiKey, str]:
    """A new API key and its text, which is shown once and kept as a hash. Raises Invalid `invalid_scope`."""
    wanted = sorted(set(scopes))
    wrong = [scope for scope in wanted if not SCOPE.fullmatch(scope)]
    if wrong or not wanted:
        raise Invalid(
            _("A scope looks like crm.profile:read or crm.profile:write."),
            code="invalid_scope", field="scopes",
        )  # fmt: skip
    prefix, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=name[:120], prefix=prefix, secret_hash=_hash(secret), scopes=wanted, created_at=now
        )
        actionlog.write(actor, "crm.api_key.created", key, fields=("scopes",), now=now)
    return key, f"rx_{prefix}_{secret}"


def revoke_api_key(key_id: int, *, actor: Actor, now: datetime) -> ApiKey:
    """Make a key useless at once."""
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=key_id, revoked_at=None).update(revoked_at=now)
        key = ApiKey.objects.filter(pk=key_id).first()
        if key is None:
            raise NotFound(_("There is no such API key."))
        if changed:
            actionlog.write(actor, "crm.api_key.revoked", key, fields=("revoked_at",), now=now)
    return key


def find_api_key(text: str) -> ApiKey | None:
    """The live key of this text, compared in constant time."""
    parts = text.split("_", 2)
    if len(parts) != 3 or parts[0] != "rx" or not parts[1].isascii():
        return None
    key = ApiKey.objects.filter(prefix=parts[1], revoked_at=None).first()
    if key is None or not hmac.compare_digest(key.secret_hash, _hash(parts[2])):
        return None
    return key


def _write_key(trust: str) -> str:
    return ("wk_" if trust == Trust.SERVER else "pk_") + secrets.token_urlsafe(24)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
