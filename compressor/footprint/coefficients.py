"""The numbers of the model, from coefficients.toml: each with its unit, its range and where it comes from."""

import dataclasses
import functools
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from compressor.footprint.ranges import Range

BASES = ("read", "excerpt", "derived", "unverified", "given")
BOUNDS = ("low", "central", "high")
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Source:
    """Where numbers come from; `as_of` is the edition that was taken."""

    key: str
    title: str
    url: str
    licence: str
    year: int
    as_of: str


@dataclass(frozen=True)
class Bound:
    """One number: in SI units, and as its source and the field have it.

    source  key of a `Source`, or "given" for what a caller gave
    basis   read, excerpt, derived or unverified: how well it is known that the source says so; or given
    year    that it holds for, where that is not the source's
    """

    value: float
    stated: float
    source: str
    basis: str
    note: str = ""
    year: int | None = None


@dataclass(frozen=True)
class Coefficient:
    """A factor of a formula, by its `name` there, as a range. Refused with ValueError where it is not in order."""

    key: str
    name: str
    what: str
    unit: str
    stated_unit: str
    low: Bound
    central: Bound
    high: Bound

    def __post_init__(self) -> None:
        _ = self.range

    @property
    def bounds(self) -> tuple[Bound, Bound, Bound]:
        return self.low, self.central, self.high

    @property
    def range(self) -> Range:
        """In `unit`."""
        return Range(self.low.value, self.central.value, self.high.value)

    @property
    def sources(self) -> tuple[str, ...]:
        """Keys of the sources of low, central and high, each once."""
        return tuple(dict.fromkeys(bound.source for bound in self.bounds))

    def at(self, bound: Bound) -> "Coefficient":
        """The same with no range: a point."""
        return dataclasses.replace(self, low=bound, central=bound, high=bound)


@dataclass(frozen=True)
class Region:
    """A data centre region or a grid.

    pue       facility energy for IT energy, or None where no source has it
    average   annual average intensity of the location's grid, g/J; never market-based (ISO/IEC 21031, SCI)
    marginal  of one more joule, by a model; for sensitivity, in no profile
    ccf       as Cloud Carbon Footprint has it, for the profile of that name
    """

    key: str
    what: str
    average: Bound
    pue: Bound | None = None
    marginal: Bound | None = None
    ccf: Bound | None = None


@dataclass(frozen=True)
class Model:
    """All numbers of one version. sha256 is the file's: two estimates compare only where it is the same.

    reviewed  when somebody last looked whether the sources have newer numbers
    """

    version: str
    sha256: str
    reviewed: date
    sources: Mapping[str, Source]
    coefficients: Mapping[str, Coefficient]
    regions: Mapping[str, Region]


@functools.cache
def load() -> Model:
    """The model that comes with this version of the program."""
    from importlib import resources  # slow to import, and the command line imports this module

    text = resources.files("compressor.footprint").joinpath("coefficients.toml").read_bytes()
    return parse(text)


def parse(text: bytes) -> Model:
    """A model from the bytes of its TOML file; ValueError, KeyError or TypeError where it is not sound."""
    tables = tomllib.loads(text.decode("utf-8"))
    sources = {key: Source(key, **table) for key, table in tables["sources"].items()}
    model = Model(
        version=tables["version"],
        sha256=hashlib.sha256(text).hexdigest(),
        reviewed=tables["reviewed"],
        sources=sources,
        coefficients={key: _coefficient(key, table) for key, table in tables["coefficients"].items()},
        regions={key: _region(key, table) for key, table in tables["regions"].items()},
    )
    for owner, bound in bounds_of(model):
        if bound.source not in sources or bound.basis not in BASES:
            raise ValueError(f"{owner}: no such source or basis: {bound.source}, {bound.basis}")
    return model


def bounds_of(model: Model) -> list[tuple[str, Bound]]:
    """Every number of a model, with the key of what it belongs to."""
    found = [(one.key, bound) for one in model.coefficients.values() for bound in one.bounds]
    for region in model.regions.values():
        kinds = (region.average, region.pue, region.marginal, region.ccf)
        found += [(region.key, bound) for bound in kinds if bound is not None]
    return found


def _coefficient(key: str, table: Mapping[str, Any]) -> Coefficient:
    names = ("point",) * 3 if "point" in table else BOUNDS
    low, central, high = (Bound(**table[name]) for name in names)
    return Coefficient(key, table["name"], table["what"], table["unit"], table["stated_unit"], low, central, high)


def _region(key: str, table: Mapping[str, Any]) -> Region:
    bounds = {name: Bound(**value) for name, value in table.items() if name != "what"}
    return Region(key, table["what"], **bounds)
