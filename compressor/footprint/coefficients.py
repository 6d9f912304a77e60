"""The numbers of the model, from coefficients.toml: each with its unit, its range and its source."""

import dataclasses
import functools
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from compressor.footprint.ranges import Range

KINDS = ("peer-reviewed", "agency", "report", "open data", "company", "press", "derivation")
ASSUMED_KINDS = ("company", "press")  # no primary source: a number from these is an assumption
BASES = ("read", "excerpt", "derived", "assumption", "given")
BOUNDS = ("low", "central", "high")
JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Citation:
    """The source of some numbers.

    kind   one of KINDS
    as_of  the edition that was used, and how it was read if not in full
    """

    key: str
    title: str
    url: str
    kind: str
    license: str
    year: int
    as_of: str


@dataclass(frozen=True)
class Bound:
    """One number: in SI units, and as its source states it.

    source  key of a `Citation`, or "given" for a number from the caller
    basis   how well the source supports it: read, excerpt, derived or assumption (see coefficients.toml); or given
    year    year that it applies to, if that is not the source's
    """

    value: float
    stated: float
    source: str
    basis: str
    note: str = ""
    year: int | None = None


@dataclass(frozen=True)
class Coefficient:
    """A factor of a formula, by its `name` there, as a range. ValueError if its bounds are not in order."""

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
        """Return the bounds in `unit`."""
        return Range(self.low.value, self.central.value, self.high.value)

    @property
    def sources(self) -> tuple[str, ...]:
        """Return the keys of the sources of low, central and high, each once."""
        return tuple(dict.fromkeys(bound.source for bound in self.bounds))

    def at(self, bound: Bound) -> "Coefficient":
        """Return a copy with `bound` as low, central and high: a point."""
        return dataclasses.replace(self, low=bound, central=bound, high=bound)


@dataclass(frozen=True)
class Region:
    """A data center region or a grid.

    pue       facility energy per IT energy; None if no source states it
    average   annual average intensity of the location's grid, g/J; never market-based (ISO/IEC 21031, SCI)
    marginal  modeled intensity of one additional joule; for sensitivity, used by no profile
    ccf       intensity that Cloud Carbon Footprint states, for the profile of that name
    """

    key: str
    what: str
    average: Bound
    pue: Bound | None = None
    marginal: Bound | None = None
    ccf: Bound | None = None


@dataclass(frozen=True)
class Model:
    """All numbers of one version.

    sha256    digest of the file; two estimates are comparable only if theirs are equal
    reviewed  when the sources were last checked for newer numbers
    """

    version: str
    sha256: str
    reviewed: date
    sources: Mapping[str, Citation]
    coefficients: Mapping[str, Coefficient]
    regions: Mapping[str, Region]


@functools.cache
def load() -> Model:
    """Return the model of this version of the program."""
    from importlib import resources  # slow to import, and the command line imports this module

    text = resources.files("compressor.footprint").joinpath("coefficients.toml").read_bytes()
    return parse(text)


def parse(text: bytes) -> Model:
    """Return a model from the bytes of its TOML file; ValueError, KeyError or TypeError if it is not valid."""
    tables = tomllib.loads(text.decode("utf-8"))
    sources = {key: Citation(key, **table) for key, table in tables["sources"].items()}
    model = Model(
        version=tables["version"],
        sha256=hashlib.sha256(text).hexdigest(),
        reviewed=tables["reviewed"],
        sources=sources,
        coefficients={key: _coefficient(key, table) for key, table in tables["coefficients"].items()},
        regions={key: _region(key, table) for key, table in tables["regions"].items()},
    )
    for citation in sources.values():
        if citation.kind not in KINDS:
            raise ValueError(f"{citation.key}: unknown kind {citation.kind!r}")
    for owner, bound in bounds_of(model):
        if bound.source not in sources or bound.basis not in BASES:
            raise ValueError(f"{owner}: unknown source or basis: {bound.source}, {bound.basis}")
        if bound.basis != "assumption" and sources[bound.source].kind in ASSUMED_KINDS:
            raise ValueError(f"{owner}: {bound.source} is no primary source, so its numbers are assumptions")
    return model


def bounds_of(model: Model) -> list[tuple[str, Bound]]:
    """Return every number of a model, with the key of its coefficient or region."""
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
