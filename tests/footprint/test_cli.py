"""`compressor footprint`."""

import json
import math
from typing import Any

import pytest

from compressor.cli.footprint_output import NUMBER_WIDTH
from compressor.humanize import two_digits
from tests.cli.fakes import run

CASE = "--saved-bytes 1e9 --retention-days 365 --storage hdd-3az --downloads 10 --cpu-seconds 60 --memory-bytes 1e9"
GRID = "--grid 383.55"


def asked(words: str) -> dict[str, Any]:
    record = json.loads(run("footprint", *words.split(), "--json")[0])
    assert isinstance(record, dict)
    return record


def shown(words: str) -> list[str]:
    return run("footprint", *words.split(), env={"COLUMNS": "80"})[0].splitlines()


def range_of(values: dict[str, float]) -> tuple[float, float, float]:
    return values["low"], values["central"], values["high"]


def test_the_worked_example() -> None:
    record = asked(f"{CASE} --network fixed {GRID}")

    assert range_of(record["net_co2e_grams"]) == pytest.approx((1.6, 8.3, 35.2), rel=0.02)
    assert range_of(record["net_energy_joules"]) == pytest.approx(
        (0.0042 * 3.6e6, 0.0217 * 3.6e6, 0.0919 * 3.6e6), rel=0.02
    )
    assert list(record["terms"]) == ["storage", "network", "cpu", "memory", "embodied"]


def test_without_network_there_is_no_network_term() -> None:
    record = asked(f"{CASE} {GRID}")

    assert range_of(record["net_co2e_grams"]) == pytest.approx((1.16, 4.5, 10.3), rel=0.02)
    assert list(record["terms"]) == ["storage", "cpu", "memory", "embodied"]
    assert not any("network" in key or "swdm" in key for key in record["coefficients"])
    assert any("downloads are not counted" in note for note in record["notes"])


@pytest.mark.parametrize("profile", ["conservative", "central", "ccf", "swdm4"])
def test_the_json_is_enough_to_reproduce_the_sum(profile: str) -> None:
    """From terms to totals, and from each bound to its source."""
    record = asked(
        f"{CASE} --network mobile --region us-east-1 --profile {profile} --reserved-vcpus 2 --reserved-seconds 90"
    )

    for quantity in ("energy_joules", "co2e_grams"):
        sums = {"avoided": [0.0, 0.0, 0.0], "used": [0.0, 0.0, 0.0]}
        for term in record["terms"].values():
            if term[quantity] is not None:
                values = range_of(term[quantity])
                sums[term["side"]] = [a + b for a, b in zip(sums[term["side"]], values, strict=True)]
        net = [a - b for a, b in zip(sums["avoided"], reversed(sums["used"]), strict=True)]
        assert range_of(record[f"net_{quantity}"]) == pytest.approx(net, rel=1e-12)
        for side, total in sums.items():
            assert range_of(record[f"{side}_{quantity}"]) == pytest.approx(total, rel=1e-12)
    for term in record["terms"].values():
        assert set(term["coefficients"]) <= set(record["coefficients"])
    cited = {one[bound]["source"] for one in record["coefficients"].values() for bound in ("low", "central", "high")}
    assert cited == set(record["sources"])
    assert record["model"]["profile"] == profile


def test_coefficients_in_json_multiply_to_their_term() -> None:
    record = asked(f"{CASE} {GRID}")
    storage = record["terms"]["storage"]

    product = record["drivers"]["stored_byte_seconds"]
    product *= math.prod(record["coefficients"][key]["low"]["value"] for key in storage["coefficients"])

    assert storage["co2e_grams"]["low"] == pytest.approx(product, rel=1e-12)


def test_no_region_and_no_grid_gives_joules_and_no_grams() -> None:
    record = asked(CASE)

    assert record["net_co2e_grams"] is None
    assert record["net_energy_joules"]["low"] > 0
    assert not any(" g " in line or "CO2e, g" in line for line in shown(CASE))


def test_a_case_without_work_is_refused() -> None:
    _, error = run("footprint", "--saved-bytes", "1e9", "--storage", "hdd-3az", "--retention-days", "9", code=2)

    assert "--cpu-seconds" in error


def test_larger_results_are_a_cost() -> None:
    record = asked("--saved-bytes -5MB --storage hdd-3az --retention-days 30 --cpu-seconds 1 --memory-bytes 1MiB")

    assert record["terms"]["storage"]["side"] == "used"
    assert record["net_energy_joules"]["high"] < 0
    assert record["break_even"] is None


def test_originals_that_stay_are_a_cost() -> None:
    assert asked(f"{CASE} --added-bytes 4e8")["terms"]["storage"]["side"] == "used"


def test_profile_off_estimates_nothing() -> None:
    record = asked(f"{CASE} {GRID} --profile off")

    assert record["net_co2e_grams"] is None
    assert record["net_energy_joules"] is None
    assert shown(f"{CASE} --profile off")[-1] == "profile off: nothing is estimated"


def test_memory_is_held_while_the_cpu_works_unless_stated_otherwise() -> None:
    assert asked(CASE)["drivers"]["memory_byte_seconds"] == 60e9
    assert asked(f"{CASE} --memory-seconds 30")["drivers"]["memory_byte_seconds"] == 30e9
    reserved = asked(f"{CASE} --reserved-vcpus 2 --reserved-seconds 90")
    assert reserved["drivers"]["memory_byte_seconds"] == 90e9
    assert "idle" in reserved["terms"]


@pytest.mark.parametrize(
    "words, problem",
    [
        ("--storage hdd-3az", "--retention-days"),
        ("--storage tape --retention-days 9", "--storage is 'tape'"),
        ("--network fixed", "--downloads"),
        ("--network pigeon --downloads 3", "--network is 'pigeon'"),
        ("--added-bytes 1e6", "--storage"),
        ("--reserved-vcpus 2", "go together"),
        ("--reserved-vcpus 2 --reserved-seconds 1", "--reserved-vcpus"),
        ("--region mars", "--region is 'mars'"),
        ("--profile best", "--profile is 'best'"),
        ("--grid -1", "negative"),
        ("--grid nan", "not a number"),
        ("--downloads many", "not a number"),
        ("--downloads 1e300", "not a number"),
    ],
)
def test_invalid_options_are_refused_in_one_line(words: str, problem: str) -> None:
    required = "--saved-bytes 1e9 --cpu-seconds 60 --memory-bytes 1e9"

    _, error = run("footprint", *required.split(), *words.split(), code=2)

    assert problem in error


@pytest.mark.parametrize("profile", ["conservative", "central", "ccf", "swdm4"])
@pytest.mark.parametrize("where", [GRID, "--region us-east-1", ""])
def test_the_output_fits_a_terminal_and_has_every_disclosure(profile: str, where: str) -> None:
    lines = shown(f"{CASE} --network fixed {where} --profile {profile} --reserved-vcpus 2 --reserved-seconds 90")

    assert max(map(len, lines)) <= 80
    assert "Estimated, not measured." in lines[-3]
    assert profile in lines[-3]
    assert "What was used is subtracted" in lines[-2]
    assert "Not an offset" in lines[-1]
    assert any(line.startswith("Range: ") for line in lines)


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (1.16, "1.2"),
        (35.23, "35"),
        (1482, "1,500"),
        (999_999, "1.0e+06"),
        (0.000214, "0.00021"),
        (-0.00078, "-0.00078"),
        (9.54e-6, "9.5e-06"),
        (-12.6, "-13"),
    ],
)
def test_figures_have_two_digits_and_fit_their_column(value: float, text: str) -> None:
    assert two_digits(value) == text
    assert len(text) < NUMBER_WIDTH


def test_units_fit_one_image_and_a_whole_bucket() -> None:
    small = "--saved-bytes 1MB --storage hdd-3az --retention-days 30 --cpu-seconds 0.6 --memory-bytes 1GB --region de"

    assert any(line.startswith("  net, CO2e, µg") for line in shown(small))
    assert any(line.startswith("  net, CO2e, t ") for line in shown(f"{small} --saved-bytes 5000TB"))


def test_the_output_has_two_digits_and_every_step() -> None:
    page = "\n".join(shown(f"{CASE} --network fixed {GRID}"))

    assert "Estimated net avoided: 1.6 g CO2e (conservative: low)" in page
    assert "Range: 1.6 to 35 g CO2e" in page
    for step in (
        "storage, avoided =",
        "network, avoided =",
        "cpu, used =",
        "memory, used =",
        "embodied, used =",
        "net =",
    ):
        assert step in page
    assert "0.25     0.65     0.89  wd, ccf, etsy" in page
