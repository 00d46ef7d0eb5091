"""x"""

import pytest
from datetime import timedelta
from crm.kernel import clock, actors
from crm.services import touchpoints
from crm.models import *

pytestmark = pytest.mark.django_db


def test_record():
    now = clock.now()
    src = Source.objects.create(name="a", write_key="k")
    ref = touchpoints.SourceRef(src.pk, "server")
    E = touchpoints.Event
    r = touchpoints.record(
        [
            E("page", now, "m1", identifiers=[("anonymous_id", "a1")]),
            E(
                "identify",
                now,
                "m2",
                identifiers=[("user_id", "u1"), ("anonymous_id", "a1")],
                traits={"email": "A@b.com", "name": "张伟", "age": 3},
            ),
            E(
                "Order Completed",
                now - timedelta(days=9000),
                "m3",
                identifiers=[("user_id", "u1")],
                properties={"x": 1},
            ),
            E("Order Completed", now, "m3", identifiers=[("user_id", "u1")]),
            E("x", now, "m4", identifiers=[("user_id", "null")]),
            E("x", now + timedelta(days=9), "m5", identifiers=[]),
        ],
        source=ref,
        actor=actors.source(src.pk),
        now=now,
    )
    print(r)
    assert (r.accepted, r.duplicates, len(r.rejected)) == (3, 1, 2)
    p = Profile.objects.get()
    print(p.__dict__, list(ContactPoint.objects.values()), list(IngestionWarning.objects.values()))
    r2 = touchpoints.record(
        [E("page", now, "m9", identifiers=[("anonymous_id", "zz")])],
        source=ref,
        actor=actors.source(src.pk),
        now=now,
    )
    r2 = touchpoints.record(
        [E("page", now, "m10", identifiers=[("anonymous_id", "zz"), ("user_id", "u1")])],
        source=ref,
        actor=actors.source(src.pk),
        now=now,
    )
    assert Profile.objects.roots().count() == 1
    print(list(MergeRecord.objects.values()))
    print(list(Touchpoint.objects.values("kind", "profile_id")))
