"""Staff, keys and clients for the tests of members."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from crm.kernel import roles
from crm.models import StaffUser
from crm.services import sources
from tests.voc.build import AGENT, NOW


@pytest.fixture
def staff(db: None) -> Any:
    """Make a member of staff with a role, signed in: `staff("lead") -> Client`."""
    from django.contrib.auth.models import Group

    roles.sync()

    def make(role: str) -> Client:
        user = StaffUser.objects.create_user(f"{role}-user", password="x", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        client.user = user
        return client

    return make


@pytest.fixture
def api(db: None) -> Any:
    """Make a client with an API key of these scopes: `api("members.points:write") -> APIClient`."""

    def make(*scopes: str) -> APIClient:
        made = sources.create_api_key("test", scopes=list(scopes), actor=AGENT, now=NOW)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {made[1]}")
        return client

    return make
