"""Rules for every case: order, signs, units, and own use that can't be switched off."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import SettingsError
from compressor.footprint import (
    ACCESSES,
    STORAGE_CLASSES,
    Drivers,
    Profile,
    Range,
    Side,
    estimate,
    load,
    place,
    stored_byte_seconds,
)
from tests.reference import footprint as reference

PROFILES = [profile for profile in Profile if profile is not Profile.OFF]
AMOUNTS = st.floats(0, 1e18, allow_subnormal=False)
SIGNED = st.one_of(AMOUNTS, AMOUNTS.map(lambda amount: -amount))


@st.composite
def drivers(draw: st.DrawFn, /) -> Drivers:
    cpu = draw(st.floats(0, 1e9, allow_subnormal=False))
    reserved = draw(st.one_of(st.none(), st.floats(cpu, 2e9)))
    values: dict[str, Any] = {
        "cpu_seconds": cpu,
        "memory_byte_seconds": draw(AMOUNTS),
        "reserved_vcpu_seconds": reserved,
        "stored_byte_seconds": draw(st.one_of(st.none(), SIGNED)),
        "storage_class": draw(st.sampled_from(STORAGE_CLASSES)),
        "unsent_bytes": draw(st.one_of(st.none(), SIGNED)),
        "access": draw(st.sampled_from(ACCESSES)),
    }
    return Drivers(**values)


def changed(case: Drivers, values: dict[str, Any]) -> Drivers:
    return dataclasses.replace(case, **values)


CASES = {"drivers": drivers(), "profile": st.sampled_from(PROFILES), "region": st.sampled_from(sorted(load().regions))}


@given(**CASES)
def test_net_is_avoided_minus_used(drivers: Drivers, profile: Profile, region: str) -> None:
    balance = estimate(drivers, place(region, profile=profile), profile)
    pairs = [
        (balance.net_energy_joules, balance.energy_joules(Side.AVOIDED), balance.energy_joules(Side.USED)),
        (balance.net_co2e_grams, balance.co2e_grams(Side.AVOIDED), balance.co2e_grams(Side.USED)),
    ]

    for net, avoided, used in pairs:
        assert net is not None and avoided is not None and used is not None
        assert net.low == avoided.low - used.high
        assert net.central == avoided.central - used.central
        assert net.high == avoided.high - used.low


@given(**CASES)
def test_every_range_is_in_order_and_no_side_is_negative(drivers: Drivers, profile: Profile, region: str) -> None:
    """Terms too: the counters that add them up only rise."""
    balance = estimate(drivers, place(region, profile=profile), profile)

    for term in balance.terms:
        for values in (term.energy_joules, term.co2e_grams):
            assert values is None or 0 <= values.low <= values.central <= values.high
    net = balance.net_co2e_grams
    assert net is not None and net.low <= net.central <= net.high


@given(drivers(), SIGNED, st.floats(0, 1e18), st.sampled_from(PROFILES), st.booleans())
def test_more_saved_bytes_never_lower_the_net(
    case: Drivers, fewer: float, more: float, profile: Profile, stored: bool
) -> None:
    name = "stored_byte_seconds" if stored else "unsent_bytes"
    where = place(grid_grams_per_kwh=400, profile=profile)

    below, above = (
        estimate(changed(case, {name: amount}), where, profile).net_co2e_grams for amount in (fewer, fewer + more)
    )

    assert below is not None and above is not None
    for smaller, larger in zip(below, above, strict=True):
        assert smaller <= larger or math.isclose(smaller, larger, rel_tol=1e-9)


@given(drivers(), st.floats(0, 1e6), st.sampled_from(PROFILES))
def test_an_estimate_is_linear_in_what_was_measured(case: Drivers, factor: float, profile: Profile) -> None:
    """A sum of estimates thus equals the estimate of the sum."""
    names = ("cpu_seconds", "memory_byte_seconds", "reserved_vcpu_seconds", "stored_byte_seconds", "unsent_bytes")
    measured = {name: getattr(case, name) for name in names}
    scaled = {name: None if value is None else value * factor for name, value in measured.items()}
    where = place(grid_grams_per_kwh=400, profile=profile)

    one = estimate(case, where, profile)
    many = estimate(changed(case, scaled), where, profile)

    for side in Side:
        for value, times in zip(one.energy_joules(side), many.energy_joules(side), strict=True):
            assert times == pytest.approx(value * factor, rel=1e-9, abs=1e-9)


@given(
    gigabytes=st.floats(-1e6, 1e6),
    years=st.floats(0, 10),
    downloads=st.floats(0, 1e4),
    cpu_hours=st.floats(0, 1e4),
    gigabyte_hours=st.floats(0, 1e6),
    idle_hours=st.one_of(st.just(-1.0), st.floats(0, 1e4)),
    grid=st.floats(1, 1200),
    storage_class=st.sampled_from(STORAGE_CLASSES),
    access=st.sampled_from(ACCESSES),
)
def test_units_agree_with_the_reference_in_kilowatt_hours(
    storage_class: str, access: str, grid: float, **case: float
) -> None:
    case["reserved_hours"] = -1.0 if case["idle_hours"] < 0 else case["cpu_hours"] + case["idle_hours"]
    measured = Drivers(
        cpu_seconds=case["cpu_hours"] * 3600,
        memory_byte_seconds=case["gigabyte_hours"] * 3600e9,
        reserved_vcpu_seconds=None if case["reserved_hours"] < 0 else case["reserved_hours"] * 3600,
        stored_byte_seconds=case["gigabytes"] * 1e9 * case["years"] * 365 * 86400,
        storage_class=storage_class,
        unsent_bytes=case["gigabytes"] * 1e9 * case["downloads"],
        access=access,
    )

    balance = estimate(measured, place(grid_grams_per_kwh=grid))

    net_grams = balance.net_co2e_grams
    assert net_grams is not None
    expected = reference.net(case, storage_class, access, grid)
    size = sum(max(balance.energy_joules(side)) for side in Side) / 3.6e6
    for (kwh, grams), joules, mass in zip(expected, balance.net_energy_joules, net_grams, strict=True):
        assert joules / 3.6e6 == pytest.approx(kwh, rel=1e-5, abs=1e-5 * size)
        assert mass == pytest.approx(grams, rel=1e-5, abs=1e-5 * (size * grid + 2 * case["cpu_hours"] + 1e4 * 1e-3))


# --- own use ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES)
def test_own_use_is_subtracted_in_every_profile(profile: Profile) -> None:
    case = Drivers(60, 6e10, reserved_vcpu_seconds=100, stored_byte_seconds=1e18, unsent_bytes=1e10)

    balance = estimate(case, place("us-east-1", profile=profile), profile)

    used = {term.name: term.co2e_grams for term in balance.terms if term.side is Side.USED}
    assert set(used) == {"cpu", "idle", "memory", "embodied"}
    assert all(values is not None and values.low > 0 for values in used.values())


def test_work_is_a_required_input() -> None:
    """A request for avoided energy must state what saving used."""
    with pytest.raises(TypeError, match="cpu_seconds"):
        Drivers(stored_byte_seconds=1e18)  # type: ignore[call-arg]


def test_profile_off_estimates_nothing() -> None:
    with pytest.raises(SettingsError, match="off"):
        estimate(Drivers(1, 1), place(), Profile.OFF)


def test_storage_is_a_cost_if_the_original_stays() -> None:
    kept = stored_byte_seconds(1e9, 86400, originals_deleted=False, added_bytes=4e8)
    term = estimate(Drivers(1, 1, stored_byte_seconds=kept), place()).terms[0]

    assert kept == -4e8 * 86400
    assert (term.name, term.side) == ("storage", Side.USED)
    assert stored_byte_seconds(1e9, 86400, originals_deleted=True) == 1e9 * 86400


@pytest.mark.parametrize("profile", PROFILES)
def test_larger_results_are_a_cost_in_every_profile(profile: Profile) -> None:
    case = Drivers(0, 0, stored_byte_seconds=-1e18, unsent_bytes=-1e10)

    balance = estimate(case, place(profile=profile), profile)

    assert balance.energy_joules(Side.AVOIDED) == Range(0, 0, 0)
    assert balance.net_energy_joules.high < 0
    assert "storage" in {term.name for term in balance.terms}


def test_without_counted_downloads_there_is_no_network_term() -> None:
    assert "network" not in {term.name for term in estimate(Drivers(1, 1, stored_byte_seconds=1e18), place()).terms}


def test_without_a_grid_there_are_joules_and_no_grams() -> None:
    balance = estimate(Drivers(1, 1, stored_byte_seconds=1e18, unsent_bytes=1e9), place())

    assert balance.net_co2e_grams is None
    assert all(term.co2e_grams is None for term in balance.terms)
    assert balance.net_energy_joules.low > 0


# --- places -------------------------------------------------------------------------------------------------------


def test_without_a_region_the_pue_range_is_unfavorable() -> None:
    where = place()

    assert where.pue_benefit.range == Range(1.0, 1.15, 1.15)
    assert where.pue_cost.range == Range(1.10, 1.15, 1.35)


@pytest.mark.parametrize(
    "region, benefit, cost",
    [
        ("us-east-1", (1.0, 1.15, 1.15), (1.10, 1.15, 1.35)),
        ("eu-central-1", (1.0, 1.35, 1.35), (1.10, 1.35, 1.35)),
        ("ap-south-1", (1.0, 1.42, 1.42), (1.10, 1.42, 1.42)),
        ("europe-west1", (1.0, 1.09, 1.15), (1.09, 1.09, 1.35)),
        ("de", (1.0, 1.15, 1.15), (1.10, 1.15, 1.35)),
    ],
)
def test_a_region_changes_the_pue_and_keeps_it_in_order(region: str, benefit: tuple[float], cost: tuple[float]) -> None:
    where = place(region)

    assert tuple(where.pue_benefit.range) == benefit
    assert tuple(where.pue_cost.range) == cost


def test_a_given_grid_takes_precedence_over_that_of_the_region() -> None:
    grid = place("US-East-1", grid_grams_per_kwh=100).compute_grid

    assert grid is not None
    assert (grid.central.stated, grid.sources) == (100, ("given",))
    assert grid.range == Range.point(100 / 3.6e6)


def test_an_unknown_region_is_refused_with_a_list_of_known_ones() -> None:
    with pytest.raises(SettingsError, match="'mars'.*us-east-1"):
        place("mars")


@pytest.mark.parametrize("values", [(2, 1, 3), (1, 3, 2), (math.nan, 1, 2), (0, 1, math.inf)])
def test_a_range_is_in_order(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not a range"):
        Range(*values)


def test_a_product_of_negatives_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        _ = Range(1, 2, 3) * -1.0


@pytest.mark.parametrize(
    "values",
    [
        {"cpu_seconds": -1.0},
        {"memory_byte_seconds": -1.0},
        {"reserved_vcpu_seconds": 0.5},
        {"storage_class": "tape-3az"},
        {"access": "pigeon"},
    ],
)
def test_impossible_measurements_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Drivers(**({"cpu_seconds": 1.0, "memory_byte_seconds": 1.0} | values))
