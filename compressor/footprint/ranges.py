"""Numbers that are known as a range: low, central and high."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Range:
    """Three finite numbers, low ≤ central ≤ high; ValueError otherwise."""

    low: float
    central: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.central <= self.high):
            raise ValueError(f"not a range: {self.low}, {self.central}, {self.high}")

    @classmethod
    def point(cls, value: float) -> Self:
        """Return an exact number as a range."""
        return cls(value, value, value)

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.central, self.high))

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.central + other.central, self.high + other.high)

    def __sub__(self, other: "Range") -> "Range":
        """Subtract a cost: low is the lowest benefit minus the highest cost, high the reverse."""
        return Range(self.low - other.high, self.central - other.central, self.high - other.low)

    def __mul__(self, other: "Range | float") -> "Range":
        """Multiply ranges that are not negative, so that low stays low; a loss is a cost, not a negative benefit."""
        by = other if isinstance(other, Range) else Range.point(other)
        if self.low < 0 or by.low < 0:
            raise ValueError(f"a product of negative ranges: {self}, {by}")
        return Range(self.low * by.low, self.central * by.central, self.high * by.high)


ZERO = Range.point(0.0)
