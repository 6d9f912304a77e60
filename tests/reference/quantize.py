"""Requantization with exact fractions."""

from fractions import Fraction


def requantized(sq: int, ratio: float) -> Fraction:
    """Sq * ratio before it is rounded; a float is a fraction too."""
    return sq * Fraction(ratio)
