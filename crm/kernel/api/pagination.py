"""Lists by cursor: a page costs the same however long the history is."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import pagination
from rest_framework.exceptions import NotFound
from rest_framework.request import Request

from crm.kernel.errors import Invalid


class CursorPagination(pagination.CursorPagination):
    """Newest first unless the view says otherwise; `page_size` 1 to 200; a forged cursor is a 400."""

    ordering = "-id"
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        """The size asked for. Raises Invalid outside 1 to 200."""
        text = request.query_params.get(self.page_size_query_param)
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= self.max_page_size):
            raise Invalid(
                _("page_size is a whole number from 1 to 200."), code="invalid_page_size", field="page_size"
            )
        return int(text)

    def decode_cursor(self, request: Request) -> Any:
        """The cursor sent. Raises Invalid when it is not one of ours."""
        try:
            return super().decode_cursor(request)
        except (NotFound, ValueError):
            raise Invalid(_("This cursor is not valid."), code="invalid_cursor", field="cursor") from None

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        """One page. A cursor whose position does not fit the column is a forged one."""
        from django.core.exceptions import ValidationError
        from django.db import DataError

        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError, DataError, OverflowError, TypeError):
            if request.query_params.get(self.cursor_query_param):
                raise Invalid(_("This cursor is not valid."), code="invalid_cursor", field="cursor") from None
            raise
