"""Amounts are read exactly, in the currency's own number of decimals."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.kernel import money
from crm.kernel.errors import Invalid
from crm.kernel.money import Money


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("29.33", "USD", 2933),
        (29.33, "usd", 2933),
        (0.1, "EUR", 10),
        ("1000", "JPY", 1000),
        ("1.2345", "KWD", 1235),
        ("-5", "CNY", -500),
        (Decimal("0.005"), "CNY", 1),
    ],
)
def test_an_amount_is_read_in_minor_units(amount, currency, minor):
    assert money.parse(amount, currency).minor == minor


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "1e400", "", "abc", None, True, [], "1" * 40])
def test_what_is_not_a_finite_amount_is_refused(amount):
    with pytest.raises(Invalid) as refusal:
        money.parse(amount, "USD")
    assert refusal.value.code == "invalid_amount"


@pytest.mark.parametrize("currency", ["", "US", "DOLLAR", "12$", None])
def test_a_currency_is_three_letters(currency):
    with pytest.raises(Invalid) as refusal:
        money.parse("1", currency)
    assert refusal.value.code == "invalid_currency"


def test_currencies_are_never_mixed():
    with pytest.raises(Invalid) as refusal:
        Money(1, "USD") + Money(1, "CNY")
    assert refusal.value.code == "mixed_currencies"


@given(st.integers(-(10**15), 10**15), st.sampled_from(["USD", "JPY", "KWD"]))
def test_reading_what_was_written_gives_the_same_amount(minor, currency):
    assert money.parse(Money(minor, currency).major(), currency) == Money(minor, currency)
