"""The description of this API: valid, and made without a warning."""

import io
from contextlib import redirect_stderr

import pytest
from django.core.management import call_command

pytestmark = pytest.mark.django_db


def test_the_operations_of_voc_and_members_are_described_without_warnings() -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stderr(err):
        call_command("spectacular", "--validate", stdout=out, stderr=err)
    ours = [line for line in err.getvalue().splitlines() if "/voc/" in line or "/members/" in line]
    assert ours == []
    text = out.getvalue()
    for path in ("/api/v1/feedback/{id}/attach/", "/api/v1/releases/{id}/ship/", "/api/v1/changelog/"):
        assert path in text
    assert "/api/v1/points/accounts/debit/" in text
