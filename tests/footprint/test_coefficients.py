"""Every number of the model has a unit, a range and a source."""

import hashlib
import re
from importlib import resources

import pytest

from compressor.footprint import Bound, Coefficient, coefficients, load

TEXT = resources.files("compressor.footprint").joinpath("coefficients.toml").read_bytes()
MODEL = load()
BOUNDS = coefficients.bounds_of(MODEL)
# SI unit and factor of each stated unit.
SI = {
    "1": ("1", 1.0),
    "W/TB": ("W/B", 1e-12),
    "W/GB": ("W/B", 1e-9),
    "W/vCPU": ("W/vCPU", 1.0),
    "kWh/GB": ("J/B", 3.6e6 / 1e9),
    "g/kWh": ("g/J", 1 / 3.6e6),
    "g/vCPU-h": ("g/(vCPU s)", 1 / 3600),
    "kg/TB-yr": ("g/(B s)", 1000 / 1e12 / (8760 * 3600)),
}


@pytest.mark.parametrize("one", MODEL.coefficients.values(), ids=lambda one: str(one.key))
def test_the_value_is_the_stated_one_in_si_units(one: Coefficient) -> None:
    unit, factor = SI[one.stated_unit]

    assert one.unit == unit
    assert one.name and one.what
    for bound in one.bounds:
        assert bound.value == pytest.approx(bound.stated * factor, rel=1e-5)


def test_grids_are_grams_a_joule_and_pue_has_no_unit() -> None:
    for region in MODEL.regions.values():
        for grid in (region.average, region.marginal, region.ccf):
            assert grid is None or grid.value == pytest.approx(grid.stated / 3.6e6, rel=1e-5)
            assert grid is None or 5 < grid.stated < 1000
        assert region.pue is None or region.pue.value == region.pue.stated
        assert region.pue is None or 1 <= region.pue.value < 2


@pytest.mark.parametrize("owner, bound", BOUNDS, ids=lambda value: value if isinstance(value, str) else "")
def test_every_number_has_a_source(owner: str, bound: Bound) -> None:
    source = MODEL.sources[bound.source]

    assert bound.basis in ("read", "excerpt", "derived", "assumption")
    assert source.title and source.license and source.as_of
    assert 2010 <= source.year <= 2026
    assert source.url.startswith("https://") or source.key in ("3az", "floor")
    assert bound.note or bound.basis != "assumption"


@pytest.mark.parametrize("one", MODEL.coefficients.values(), ids=lambda one: str(one.key))
def test_no_range_is_made_of_assumptions_only(one: Coefficient) -> None:
    assert {bound.basis for bound in one.bounds} != {"assumption"}


def test_every_grid_has_a_year() -> None:
    grids = [grid for region in MODEL.regions.values() for grid in (region.average, region.marginal, region.ccf)]

    assert [grid for grid in grids if grid is not None and grid.year is None] == []


def test_every_listed_source_is_used() -> None:
    assert set(MODEL.sources) == {bound.source for _, bound in BOUNDS}


def test_the_checksum_is_that_of_the_file() -> None:
    assert MODEL.sha256 == hashlib.sha256(TEXT).hexdigest()
    assert re.fullmatch(r"[0-9]+", MODEL.version)


@pytest.mark.parametrize(
    "old, new",
    [
        (b'stated = 0.25, source = "wd"', b'stated = 0.25, source = "hearsay"'),
        (b"low = { value = 2.5e-13", b"low = { value = 2.5e-12"),
        (b'basis = "assumption", note = "6 W idle / 24 TB', b'basis = "guessed", note = "6 W idle / 24 TB'),
        (b'basis = "assumption", note = "6 W idle / 24 TB', b'basis = "read", note = "6 W idle / 24 TB'),
        (b'kind = "agency"', b'kind = "rumor"'),
    ],
    ids=["unknown source", "not in order", "unknown basis", "press as primary source", "unknown kind"],
)
def test_an_invalid_file_is_refused(old: bytes, new: bytes) -> None:
    assert old in TEXT
    with pytest.raises(ValueError):
        coefficients.parse(TEXT.replace(old, new))
