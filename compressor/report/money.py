"""Savings in money, at prices that the operator gives."""

from dataclasses import dataclass

from compressor.errors import SettingsError
from compressor.prices import Price

BILLED_BYTES = 1 << 30  # what the bills of S3, Azure and Google Cloud call a gigabyte
MONTHS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices on an operator's bill. Raises SettingsError for currencies that differ, and for egress without a
    number of downloads, or the other way around.

    storage              per BILLED_BYTES and month
    egress               per BILLED_BYTES sent
    downloads_per_month  how often an object is sent in a month, on average
    """

    storage: Price | None = None
    egress: Price | None = None
    downloads_per_month: float | None = None

    def __post_init__(self) -> None:
        if (self.egress is None) != (self.downloads_per_month is None):
            raise SettingsError("price_per_gb_egress", "and --downloads-per-month go together")
        if len(self._currencies) > 1:
            names = " and ".join(sorted(self._currencies))
            raise SettingsError("price_per_gb_egress", f"is in another currency than storage: {names}")

    @property
    def _currencies(self) -> set[str]:
        return {price.currency for price in (self.storage, self.egress) if price is not None and price.currency}

    @property
    def currency(self) -> str:
        return next(iter(self._currencies), "")


@dataclass(frozen=True, slots=True)
class Money:
    """The savings of a run in each month, in the currency of the prices; negative amounts are costs.

    storage, egress  once the originals are deleted; None without such a price
    until_deleted    storage and egress as long as the originals are stored
    """

    currency: str
    storage: float | None
    egress: float | None
    until_deleted: float

    @property
    def per_month(self) -> float:
        """The sum of storage and egress."""
        return (self.storage or 0.0) + (self.egress or 0.0)

    @property
    def per_year(self) -> float:
        """The sum of twelve months."""
        return MONTHS * self.per_month

    def as_record(self) -> dict[str, str | float | None]:
        """Return the fields for programs."""
        return {
            "currency": self.currency,
            "storage_per_month": self.storage,
            "egress_per_month": self.egress,
            "per_month": self.per_month,
            "per_year": self.per_year,
            "per_month_until_deleted": self.until_deleted,
        }


def money_of(prices: Prices, saved_bytes: float, added_bytes: float) -> Money:
    """Return what a run saves.

    saved_bytes  originals minus results
    added_bytes  how much more is stored than before, as long as the originals are stored
    """
    saved, added = saved_bytes / BILLED_BYTES, added_bytes / BILLED_BYTES
    storage = None if prices.storage is None else saved * prices.storage.amount
    egress = None
    if prices.egress is not None:
        egress = saved * prices.egress.amount * (prices.downloads_per_month or 0.0)
    now = 0.0 if prices.storage is None else -added * prices.storage.amount
    return Money(prices.currency, storage, egress, now + (egress or 0.0))
