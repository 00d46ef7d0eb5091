"""The embedded servers: what a fresh machine gets."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_chinese_texts_have_trigrams() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        cursor.execute("SELECT similarity('客户服务很差', '客户服务非常差'), lower('ÄÖÜ')")
        similarity, lowered = cursor.fetchone()
    assert round(similarity, 2) == 0.36
    assert lowered == "äöü"
