"""A thousand real reviews through the API: nothing lost, nothing doubled, and the same words are found again."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.voc.build import AGENT, NOW
from voc.models import Feedback, Ticket
from voc.services import feedback, similarity

NUMBER = 1000


def reviews() -> list[str]:
    """The first thousand negative reviews of the file, as they are."""
    folder = Path(os.environ.get("RENXIN_DATA") or settings.BASE_DIR.parent / "shared" / "data")
    path = folder / "reviews" / "reviews.tsv"
    if not path.exists():
        pytest.skip(f"real reviews are not at {path}; set RENXIN_DATA to the folder that holds them")
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(rows)
        negative = [text for label, text in rows if label == "negative"]
    return negative[:NUMBER]


@pytest.mark.django_db
def test_a_thousand_reviews_come_in_once_and_are_found_again(api: Any) -> None:
    texts = reviews()
    client = api("voc.feedback:write", "voc.feedback:read", "voc.ticket:read")
    for number, text in enumerate(texts):
        body = {"text": text, "channel": "review", "person": {"user_id": f"reviewer-{number}"}}
        for _try in range(2 if number % 10 == 0 else 1):
            answer = client.post(
                "/api/v1/feedback/", body, format="json", HTTP_IDEMPOTENCY_KEY=f"review-{number}"
            )
            assert answer.status_code == 201, answer.json()
    assert Feedback.objects.count() == len(texts) == NUMBER
    assert Feedback.objects.values("profile_id").distinct().count() == NUMBER
    assert set(Feedback.objects.values_list("text", flat=True)) == {text.strip() for text in texts}

    ids = list(Feedback.objects.order_by("id").values_list("id", flat=True)[:100])
    opened = [feedback.open_ticket(ident, actor=AGENT, now=NOW).pk for ident in ids]
    assert Ticket.objects.open().count() == 100
    for number in range(0, 100, 8):
        same = similarity.find(texts[number])
        assert (same[0].ticket.pk, same[0].score) == (opened[number], 1.0)
        half = texts[number][: max(12, len(texts[number]) * 2 // 3)]
        assert opened[number] in {match.ticket.pk for match in similarity.find(half)}
