"""Filters are an enumerated table: an unknown parameter or ordering is an error, not silence."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from django_filters.rest_framework import DjangoFilterBackend, FilterSet
from rest_framework.request import Request

from crm.kernel.api.parsers import check_text
from crm.kernel.errors import Invalid

COMMON = frozenset({"cursor", "page_size", "format"})


class StrictFilterSet(FilterSet):
    """A FilterSet; exists so that apps name one base and may be tested for it."""


class StrictFilterBackend(DjangoFilterBackend):
    """Refuses unknown query parameters on lists, naming the allowed ones."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> Any:
        """The filtered rows. Raises Invalid (unknown_filter)."""
        filterset_class = self.get_filterset_class(view, queryset)
        known = set(filterset_class.base_filters) if filterset_class else set()
        allowed = known | COMMON | set(getattr(view, "extra_query_params", ()))
        for name, values in request.query_params.lists():
            if name not in allowed and not any(
                name.startswith(f"{base}_") for base in _ranges(filterset_class)
            ):
                raise Invalid(
                    _("Unknown filter. Allowed: %(allowed)s.") % {"allowed": ", ".join(sorted(allowed))},
                    code="unknown_filter",
                    field=name[:100],
                    allowed=sorted(allowed),
                )
            for value in values:
                check_text(value)
        return super().filter_queryset(request, queryset, view)


def _ranges(filterset_class: Any) -> list[str]:
    """Names whose widget reads `<name>_min`, `<name>_after` and the like."""
    from django_filters import RangeFilter

    if not filterset_class:
        return []
    return [name for name, field in filterset_class.base_filters.items() if isinstance(field, RangeFilter)]
