"""The words people agree to: the version in force per purpose, and every version before it."""

from __future__ import annotations

from datetime import datetime

from crm.consent_texts import TEXTS
from crm.models import ConsentText


def in_force(*, now: datetime) -> dict[str, ConsentText]:
    """Per purpose the newest version that is valid; the shipped words where there is no row."""
    found = {
        purpose: ConsentText(
            purpose=purpose, version=1, text_en=english, text_zh_hans=chinese, valid_from=now
        )
        for purpose, (english, chinese) in TEXTS.items()
    }
    rows = ConsentText.objects.filter(valid_from__lte=now).order_by("purpose", "-version").distinct("purpose")
    found |= {row.purpose: row for row in rows}
    return found


def by_code(code: str) -> ConsentText | None:
    """The version a consent record names, as `marketing-3`; None for texts of other systems."""
    purpose, _dash, version = code.rpartition("-")
    if not version.isdecimal() or len(version) > 9:
        return None
    row = ConsentText.objects.filter(purpose=purpose, version=int(version)).first()
    if row is None and int(version) == 1 and purpose in TEXTS:
        english, chinese = TEXTS[purpose]
        return ConsentText(purpose=purpose, version=1, text_en=english, text_zh_hans=chinese)
    return row
