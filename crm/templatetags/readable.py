"""Stored values in words, for templates."""

from __future__ import annotations

from django import template

from crm.readable import day_of

register = template.Library()
register.filter("day_of", day_of)
