"""The register of processing (GDPR Art. 30, PIPL Art. 55-56), generated from the tags on the fields of all models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from crm import privacy_registry
from crm.privacy_registry import Basis, Category, Kept, Tag

APPS = ("crm", "lifecycle", "voc", "members")
# What can hold a text, a date of birth or a file; numbers, moments and choices from a list cannot name anybody.
FREE_FIELDS = (
    models.CharField,
    models.TextField,
    models.JSONField,
    ArrayField,
    models.DateField,
    models.FileField,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the register: a field, and all there is to say about it."""

    model: str
    model_label: str
    field: str
    field_label: str
    category: str
    purpose: str
    basis: str
    kept: str
    survives: str


def entries() -> list[Entry]:
    """Every personal field in the reader's language, by category, model and field."""
    found = []
    for tag in privacy_registry.tags():
        if not tag.is_personal:
            continue
        model = apps.get_model(tag.model)
        found.append(
            Entry(
                model=tag.model,
                model_label=str(model._meta.verbose_name_plural),
                field=tag.field,
                field_label=str(model._meta.get_field(tag.field).verbose_name),
                category=str(Category(tag.category).label),
                purpose=str(tag.purpose),
                basis=str(Basis(tag.basis).label),
                kept=str(Kept(tag.kept).label),
                survives=str(tag.survives),
            )
        )
    order = [str(category.label) for category in Category]
    return sorted(found, key=lambda entry: (order.index(entry.category), entry.model, entry.field))


def by_category() -> list[tuple[str, list[Entry]]]:
    """The same, in groups."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries():
        groups.setdefault(entry.category, []).append(entry)
    return list(groups.items())


def untagged() -> list[str]:
    """`app.model.field` of every field nobody has looked at."""
    return [
        f"{model._meta.label_lower}.{field.name}"
        for model, field in _fields()
        if privacy_registry.tag_of(model._meta.label_lower, field.name) is None
    ]


def misplaced() -> list[str]:
    """Tags of fields that do not exist (any more)."""
    return [f"{tag.model}.{tag.field}" for tag in privacy_registry.tags() if not _exists(tag)]


def _exists(tag: Tag) -> bool:
    try:
        apps.get_model(tag.model)._meta.get_field(tag.field)
    except (LookupError, FieldDoesNotExist):
        return False
    return True


def _fields() -> Iterator[tuple[type[models.Model], models.Field[Any, Any]]]:
    for label in APPS:
        for model in apps.get_app_config(label).get_models():
            if any(field.name == "pgh_id" for field in model._meta.fields):
                continue  # history of configuration, not of people
            for field in model._meta.local_concrete_fields:
                if _may_be_personal(field):
                    yield model, field


def _may_be_personal(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.DateTimeField) or field.choices:
        return False
    if field.is_relation:
        return field.related_model is apps.get_model("crm.Profile")
    return field.name == "profile_id" or isinstance(field, FREE_FIELDS)
