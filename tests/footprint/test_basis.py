"""Estimates of a running process: its basis, counters that never fall, and the processor's own counters."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import SettingsError
from compressor.footprint import Accrued, Basis, Drivers, Profile, Rapl, amounts
from compressor.footprint.basis import GB_YEAR
from compressor.settings import Bounds

WHOLE = Basis(storage_class="hdd-3az", originals_deleted=True, network="fixed", region="us-east-1", reserved_vcpus=2.0)


@pytest.mark.parametrize(
    "said, profile",
    [
        ({}, Profile.OFF),
        ({"storage_class": "hdd-3az"}, Profile.OFF),
        ({"region": "de"}, Profile.OFF),
        ({"storage_class": "hdd-3az", "originals_deleted": True}, Profile.CONSERVATIVE),
        ({"profile": Profile.CENTRAL}, Profile.CENTRAL),
        ({"storage_class": "hdd-3az", "originals_deleted": True, "profile": Profile.OFF}, Profile.OFF),
    ],
)
def test_estimates_are_off_until_originals_are_stated_to_be_replaced(said: dict[str, Any], profile: Profile) -> None:
    assert Basis(**said).effective_profile is profile


@pytest.mark.parametrize(
    "said, message",
    [
        ({"storage_class": "tape"}, "storage: is 'tape'"),
        ({"network": "pigeon"}, "network: is 'pigeon'"),
        ({"region": "atlantis"}, "region: is 'atlantis'"),
        ({"originals_deleted": True}, "originals_deleted: needs storage: the storage class"),
        ({"reserved_vcpus": 0}, "reserved_vcpus: is 0"),
        ({"reserved_vcpus": float("nan")}, "reserved_vcpus: is nan"),
        ({"grid_grams_per_kwh": -1}, "grid: is -1"),
    ],
)
def test_invalid_settings_are_refused_at_once(said: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        Basis(**said)


def test_a_report_without_configuration_has_joules_and_a_scenario() -> None:
    found = Basis().footprint_of(60.0, 6e10)

    assert found is not None and (found.profile, found.storage_class) == ("conservative", "hdd-3az")
    assert found.used_energy_joules.high == pytest.approx(747, rel=0.01)  # the worked example
    assert found.avoided_energy_joules_per_gb_year.low == pytest.approx(0.00329 * 3.6e6, rel=0.01)
    assert found.used_co2e_grams is None and found.avoided_co2e_grams_per_gb_year is None
    assert Basis(profile=Profile.OFF).footprint_of(60.0, 6e10) is None


def test_a_report_has_grams_if_the_grid_is_known() -> None:
    found = Basis(grid_grams_per_kwh=383.55, profile=Profile.CENTRAL, storage_class="ssd-1az").footprint_of(60.0, 6e10)

    assert found is not None and (found.profile, found.storage_class) == ("central", "ssd-1az")
    joules, grams = found.avoided_energy_joules_per_gb_year, found.avoided_co2e_grams_per_gb_year
    assert isinstance(grams, Bounds) and grams.central == pytest.approx(joules.central * 383.55 / 3.6e6)


def test_a_gigabyte_year_has_365_days() -> None:
    assert pytest.approx(1e9 * 365 * 86400) == GB_YEAR


STEPS = st.lists(st.tuples(*(st.floats(0, 1e6) for _ in range(5))), max_size=8)


@given(STEPS)
def test_counters_start_at_0_never_fall_and_add_up(steps: list[tuple[float, ...]]) -> None:
    accrued = Accrued(WHOLE)
    before = accrued.amounts
    assert {value for amount in before.values() for value in amount} <= {0.0}
    whole = [0.0] * 5
    for step in steps:
        cpu, memory, idle, stored, unsent = step
        drivers = Drivers(
            cpu, memory, reserved_vcpu_seconds=cpu + idle, stored_byte_seconds=stored, unsent_bytes=unsent
        )
        accrued.add(drivers)
        now = accrued.amounts
        for key, amount in before.items():
            assert all(new >= old for new, old in zip(now[key], amount, strict=True))
        before, whole = now, [a + b for a, b in zip(whole, step, strict=True)]
    cpu, memory, idle, stored, unsent = whole
    at_once = Drivers(cpu, memory, reserved_vcpu_seconds=cpu + idle, stored_byte_seconds=stored, unsent_bytes=unsent)
    expected = amounts(WHOLE.estimate(at_once))
    for key, amount in accrued.amounts.items():
        assert list(amount) == pytest.approx(list(expected[key]), rel=1e-9, abs=1e-9)


def test_a_loss_counts_as_used_and_not_as_negatively_avoided() -> None:
    accrued = Accrued(WHOLE)
    accrued.add(Drivers(0.0, 0.0, stored_byte_seconds=-1e18))

    assert accrued.amounts["used", "energy", "storage"].low > 0
    assert ("avoided", "energy", "storage") not in accrued.amounts


def test_each_coefficient_in_use_is_a_gauge_with_its_unit_and_its_age() -> None:
    gauges = {(name, *labels.values()): value for name, _, value, labels in WHOLE.gauges()}

    assert gauges["compressor_coefficient_storage_hdd_low_watts_per_byte",] == 0.25e-12
    assert gauges["compressor_coefficient_cpu_max_high_watts_per_vcpu",] == 8.6
    assert gauges["compressor_coefficient_network_fixed_central_joules_per_byte",] == 3.6e-6
    assert gauges["compressor_grid_intensity_grams_per_joule", "us-east-1"] == pytest.approx(1.1e-4, rel=0.1)
    assert gauges["compressor_coefficient_source_timestamp_seconds", "memory"] > 1.5e9
    assert gauges["compressor_methodology_reviewed_timestamp_seconds",] > 1.79e9
    without = Basis(region="de", profile=Profile.CENTRAL).gauges()
    assert not any(name.startswith("compressor_coefficient_network") for name, *_ in without)


def test_info_identifies_the_model() -> None:
    assert {name: value for name, value in WHOLE.info().items() if name != "sha256"} == {
        "version": "1",
        "profile": "conservative",
        "region": "us-east-1",
        "ci_source": "rtc",
        "ci_year": "2023",
        "ci_kind": "average",
        "network_term": "fixed",
        "originals_deleted": "true",
    }
    assert Basis(profile=Profile.CENTRAL).info()["ci_source"] == ""


def test_counters_reproduce_the_worked_example() -> None:
    basis = Basis(storage_class="hdd-3az", originals_deleted=True, grid_grams_per_kwh=383.55)
    accrued = Accrued(basis)
    for _ in range(10):
        accrued.add(Drivers(6.0, 6e9, stored_byte_seconds=GB_YEAR / 10))
    found = accrued.amounts
    used = sum(amount.high for (side, quantity, _), amount in found.items() if (side, quantity) == ("used", "co2e"))

    assert found["avoided", "co2e", "storage"].low - used == pytest.approx(1.16, rel=0.02)


# --- the processor's own counters ---------------------------------------------------------------------------------


def zone(root: Path, number: int, name: str, microjoules: int, range_: int = 1000) -> Path:
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def test_packages_are_summed_and_wrapped_counters_are_followed(tmp_path: Path) -> None:
    first, second = zone(tmp_path, 0, "package-0", 100), zone(tmp_path, 1, "package-1", 990)
    zone(tmp_path, 2, "psys", 5)
    rapl = Rapl(tmp_path)
    assert rapl and rapl.joules() == 0
    (first / "energy_uj").write_text("150")
    (second / "energy_uj").write_text("10")  # wraps around: 990 → 1000 → 10

    assert rapl.joules() == pytest.approx(70e-6)
    assert rapl.joules() == pytest.approx(70e-6)


def test_without_counters_rapl_is_false(tmp_path: Path) -> None:
    assert not Rapl(tmp_path)
    zone(tmp_path, 0, "package-0", 1).joinpath("energy_uj").unlink()
    assert not Rapl(tmp_path)


def test_a_counter_that_disappears_keeps_its_value(tmp_path: Path) -> None:
    folder = zone(tmp_path, 0, "package-0", 100)
    rapl = Rapl(tmp_path)
    (folder / "energy_uj").write_text("600")
    assert rapl.joules() == pytest.approx(500e-6)
    (folder / "energy_uj").unlink()

    assert rapl.joules() == pytest.approx(500e-6)
