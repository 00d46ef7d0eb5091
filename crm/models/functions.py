"""Database functions used as column defaults."""

from django.db import models


class UUIDv7(models.Func):
    """PostgreSQL 18's uuidv7(): time-ordered, so fresh public ids stay together in their index."""

    function = "uuidv7"
    template = "%(function)s()"
    output_field = models.UUIDField()
