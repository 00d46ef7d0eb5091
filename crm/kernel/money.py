"""Money: integer minor units and an ISO 4217 code, never a float.

Minor-unit exponents follow ISO 4217; a currency that is not listed has two decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from django.utils import formats
from django.utils.translation import gettext_lazy as _

from crm.kernel.errors import Invalid

ZERO_DECIMALS: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
THREE_DECIMALS: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
MAX_MINOR: Final = 2**63 - 1
CODE: Final = re.compile(r"[A-Z]{3}\Z")


def exponent(currency: str) -> int:
    """How many decimals `currency` has: 0, 2 or 3."""
    if currency in ZERO_DECIMALS:
        return 0
    return 3 if currency in THREE_DECIMALS else 2


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (cents, fen, yen) of one currency."""

    minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise Invalid(_("Amounts in different currencies cannot be added."), code="mixed_currencies")
        return Money(self.minor + other.minor, self.currency)

    def major(self) -> Decimal:
        """The amount in whole units with the currency's number of decimals."""
        return Decimal(self.minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        """As the reader writes numbers, with the code of the currency behind it."""
        places = exponent(self.currency)
        return (
            f"{formats.number_format(self.major(), decimal_pos=places, force_grouping=True)} {self.currency}"
        )


def parse(amount: Any, currency: str) -> Money:
    """Read an amount in whole units (text, int, Decimal, or a JSON float by its shortest text).

    Digits beyond the currency's decimals are rounded half up. Raises Invalid for anything that is not a
    finite number within 63 bits of minor units, or an unknown form of currency code.
    """
    code = str(currency).strip().upper()
    if not CODE.match(code):
        raise Invalid(
            _("A currency is three letters of ISO 4217."), code="invalid_currency", field="currency"
        )
    if isinstance(amount, bool) or not isinstance(amount, int | str | float | Decimal):
        raise Invalid(_("An amount is a number."), code="invalid_amount", field="amount")
    try:
        value = Decimal(repr(amount) if isinstance(amount, float) else str(amount).strip())
        if not value.is_finite() or abs(value) >= Decimal(10) ** 16:
            raise InvalidOperation
        minor = int(value.scaleb(exponent(code)).to_integral_value(rounding=ROUND_HALF_UP))
    except (InvalidOperation, ValueError):
        raise Invalid(
            _("An amount is a finite number below 10^16."), code="invalid_amount", field="amount"
        ) from None
    return Money(minor, code)
