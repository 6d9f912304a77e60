"""Goals of measurements: a value, its limit, and whether it is met."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A goal. `value` and `limit` are texts for a table."""

    name: str
    value: str
    limit: str
    met: bool


def at_most(name: str, value: float | None, limit: float, unit: str, scale: float = 1.0) -> Goal:
    """Return a goal for a value that is best small; None is a value that could not be measured, and fails."""
    text = "-" if value is None else f"{value * scale:.3g} {unit}"
    return Goal(name, text, f"≤ {limit * scale:.3g} {unit}", value is not None and value <= limit)


def at_least(name: str, value: float | None, limit: float, unit: str, scale: float = 1.0) -> Goal:
    """Return a goal for a value that is best large."""
    text = "-" if value is None else f"{value * scale:.3g} {unit}"
    return Goal(name, text, f"≥ {limit * scale:.3g} {unit}", value is not None and value >= limit)


def ratio(value: float | None, reference: float | None) -> float | None:
    """Return value / reference; None if one of them could not be measured."""
    return value / reference if value is not None and reference else None


def none_of(name: str, count: int) -> Goal:
    """Return a goal for a number of things that must not happen."""
    return Goal(name, str(count), "0", count == 0)
