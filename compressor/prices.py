"""Prices and amounts of money as people write them."""

import re
from typing import NamedTuple

CURRENCY = r"([^\d\s.,+\-\[\]]*)"
PRICE = re.compile(rf"{CURRENCY}\s*(\d+(?:\.\d*)?|\.\d+)\s*{CURRENCY}")
SYMBOLS = "$€£¥₹₩"  # that are written before the amount
CURRENCY_CHARACTERS_MAX = 8
CENT = 0.01


class Price(NamedTuple):
    """An amount of money, with its currency; "" if none was named."""

    amount: float
    currency: str = ""


def parse_price(text: str) -> Price:
    """Return the price that a person wrote: "0.023", "0.023 USD", "$0.023". Raise ValueError if it is none."""
    found = PRICE.fullmatch(text.strip())
    if found is None or (found[1] and found[3]) or len(found[1] + found[3]) > CURRENCY_CHARACTERS_MAX:
        raise ValueError(f"{text!r} is not a price such as 0.023, 0.023USD or $0.023")
    return Price(float(found[2]), found[1] or found[3])


def human_money(amount: float, currency: str) -> str:
    """Return an amount with its currency: 0.12 USD, $12.50, 1,234 EUR, less than 0.01 USD."""
    size = abs(amount)
    if 0 < size < CENT / 2:
        return f"less than {human_money(CENT, currency)}"
    number = f"{size:,.2f}" if size < 999.995 else f"{size:,.0f}"
    sign = "−" if amount < 0 else ""
    if currency and currency in SYMBOLS:
        return f"{sign}{currency}{number}"
    return f"{sign}{number} {currency}".rstrip()
