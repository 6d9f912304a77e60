"""Prices and amounts of money."""

import pytest

from compressor.prices import human_money, parse_price


@pytest.mark.parametrize(
    "text, price",
    [
        ("0.023", (0.023, "")),
        ("0.023USD", (0.023, "USD")),
        (" 12 EUR ", (12.0, "EUR")),
        ("$.09", (0.09, "$")),
        ("€ 1", (1.0, "€")),
        ("0", (0.0, "")),
    ],
)
def test_a_price_has_a_currency_before_or_after_it_or_none(text: str, price: tuple[float, str]) -> None:
    assert parse_price(text) == price


@pytest.mark.parametrize(
    "text", ["", "USD", "-1", "1e3e", "$1 USD", "1,5", "0.02 dollars per GB", "1 [b]", "0.1extraordinary", "nan"]
)
def test_what_is_no_price_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a price such as"):
        parse_price(text)


@pytest.mark.parametrize(
    "amount, currency, text",
    [
        (0.0, "USD", "0.00 USD"),
        (0.004, "USD", "less than 0.01 USD"),
        (0.004, "$", "less than $0.01"),
        (0.005, "", "0.01"),
        (12.5, "$", "$12.50"),
        (-12.5, "EUR", "−12.50 EUR"),
        (999.999, "EUR", "1,000 EUR"),
        (1_234_567.8, "EUR", "1,234,568 EUR"),
    ],
)
def test_an_amount_is_written_as_people_write_it(amount: float, currency: str, text: str) -> None:
    assert human_money(amount, currency) == text
