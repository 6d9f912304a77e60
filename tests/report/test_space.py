"""The space that is taken after a run, and what that saves or costs."""

import json
import re
from typing import Any

import pytest

from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.prices import Price
from compressor.report.money import BILLED_BYTES, Prices
from compressor.report.page import render
from compressor.report.summary import as_json
from tests.cli.test_batch_output import printed
from tests.report.summaries import PROJECTION, TOTALS, summary
from tests.report.test_page import Page

REPLACED, RESULTS, ALL = 1_900_000, 1_200_000, 2_000_000  # of TOTALS
GB_PRICES = Prices(
    storage=Price(0.02 * BILLED_BYTES, "USD"), egress=Price(0.1 * BILLED_BYTES), downloads_per_month=3
)  # per byte: 0.02 and 0.1


@pytest.mark.parametrize(
    "changes, now, originals, versions",
    [
        # All copies and results, and broken images as they are; what is held or unavailable is not at the destination.
        ({"mode": "copy"}, ALL + RESULTS + 70_000 + 19_000, ALL, 0),
        ({"mode": "copy", "failed_copied": False}, ALL + RESULTS + 70_000, ALL, 0),
        ({"mode": "in place", "keep": "k/"}, ALL - REPLACED + RESULTS + REPLACED, REPLACED, 0),
        ({"mode": "in place", "keep": "k/", "versioned": True}, ALL + RESULTS + REPLACED, REPLACED, REPLACED),
        ({"mode": "in place", "versioned": True}, ALL + RESULTS, 0, REPLACED),
        ({"mode": "in place"}, ALL - REPLACED + RESULTS, 0, 0),
    ],
)
def test_originals_and_versions_are_stored_besides_the_results(
    changes: dict[str, Any], now: int, originals: int, versions: int
) -> None:
    space = summary(**changes).space

    assert space is not None
    assert (space.before, space.now, space.originals, space.versions) == (ALL, now, originals, versions)
    assert space.after == ALL - REPLACED + RESULTS and space.added == now - ALL
    assert json.loads(as_json(summary(**changes)))["space"]["now"] == now


@pytest.mark.parametrize("mode", ["dry run", "restore", "restore dry run"])
def test_nothing_is_said_of_space_where_nothing_was_compressed(mode: str) -> None:
    assert summary(mode=mode).space is None
    assert "stored" not in printed(mode="dry run", projection=PROJECTION)


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"mode": "in place", "keep": "k/"},
            "3.20 MB with 1.90 MB of kept originals: 1.20 MB more than before, until the kept originals are deleted",
        ),
        (
            {"mode": "in place", "keep": "k/", "versioned": True},
            "5.10 MB with 1.90 MB of kept originals and 1.90 MB of old versions: 3.10 MB more than before, until the "
            "kept originals and the old versions are deleted",
        ),
        (
            {"mode": "in place", "versioned": True},
            "3.20 MB with 1.90 MB of old versions: 1.20 MB more than before, until the old versions are deleted",
        ),
    ],
)
def test_the_output_says_what_the_bucket_really_takes(changes: dict[str, Any], words: str) -> None:
    assert f"stored {words}" in " ".join(printed(300, **changes).split())
    page = Page(render(summary(**changes))).text
    assert "What is stored now" in page and words.rpartition(": ")[2] in page


def test_space_that_is_free_already_is_not_mentioned() -> None:
    assert "stored" not in printed(mode="in place")
    assert "What is stored now" not in render(summary(mode="in place"))


def test_money_is_net_of_what_is_stored_besides_the_results() -> None:
    money = summary(mode="in place", keep="k/", prices=GB_PRICES).money

    assert money is not None and money.currency == "USD"
    assert (money.storage, money.egress) == pytest.approx((0.02 * 700_000, 0.3 * 700_000))
    assert (money.per_month, money.per_year) == pytest.approx((0.32 * 700_000, 12 * 0.32 * 700_000))
    assert money.until_deleted == pytest.approx(0.3 * 700_000 - 0.02 * 1_200_000)


def test_a_run_that_keeps_nothing_saves_at_once() -> None:
    money = summary(mode="in place", prices=GB_PRICES).money

    assert money is not None and money.until_deleted == pytest.approx(money.per_month)


def test_a_dry_run_projects_money_like_bytes() -> None:
    money = summary(mode="dry run", projection=PROJECTION, prices=GB_PRICES).money

    assert money is not None and money.per_month == pytest.approx(0.32 * PROJECTION.saved_bytes)
    text = " ".join(printed(300, mode="dry run", projection=PROJECTION, prices=GB_PRICES).split())
    assert "money 4,642,560 USD would be saved per year (4,343,040 USD to 4,942,080 USD): 386,880 USD per month" in text
    run = summary(mode="dry run", projection=PROJECTION, prices=GB_PRICES)
    assert "With 95% confidence 4,343,040 USD to 4,942,080 USD per year." in Page(render(run)).text
    fields = json.loads(as_json(run))["money"]
    ends = (fields["per_year_low"], fields["per_year_high"])
    assert ends == pytest.approx([12 * 0.32 * saved for saved in (PROJECTION.low, PROJECTION.high)])


def test_the_output_shows_money_and_what_it_costs_until_originals_are_deleted() -> None:
    changes: dict[str, Any] = {"mode": "in place", "keep": "k/", "prices": Prices(storage=Price(1_000.0, "$"))}

    text = " ".join(printed(300, **changes).split())
    assert (
        "money $7.82 saved per year, once the kept originals are deleted: $0.65 per month $1.12 more per month until "
        "then" in text
    )
    page = Page(render(summary(**changes))).text
    assert "Storage $0.65 $7.82 Saves, once the kept originals are deleted $0.65 $7.82" in page
    assert "Until then the run costs $1.12 per month." in page
    fields = json.loads(as_json(summary(**changes)))["money"]
    assert fields["currency"] == "$" and fields["egress_per_month"] is None
    assert fields["per_month_until_deleted"] == pytest.approx(-1_000 * 1_200_000 / BILLED_BYTES)


def test_money_is_shown_only_with_prices() -> None:
    assert "money" not in printed() and "Money" not in render(summary())
    assert json.loads(as_json(summary()))["money"] is None


@pytest.mark.parametrize(
    "prices, problem",
    [
        ({"egress": Price(1)}, "go together"),
        ({"downloads_per_month": 3}, "go together"),
        (
            {"storage": Price(1, "USD"), "egress": Price(1, "EUR"), "downloads_per_month": 3},
            "in another currency than storage: EUR and USD",
        ),
    ],
)
def test_prices_that_do_not_fit_together_are_refused(prices: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Prices(**prices)


def test_used_and_avoided_energy_have_one_unit() -> None:
    """By itself, what was used would be in joules."""
    changes: dict[str, Any] = {
        "footprint": Basis(region="de").footprint_of(200.0, 1e9), "totals": (*TOTALS, *[TOTALS[2]] * 4_000),
    }  # fmt: skip

    number = r"[\d.,e+-]+"
    shown = re.search(
        rf"used +{number} to {number} (\w+) .*\n +avoids +{number} to {number} (\w+) ", printed(200, **changes)
    )
    page = Page(render(summary(**changes))).text
    rows = re.search(rf"Used by this run (?:{number} ){{3}}(\w+) Avoids per year (?:{number} ){{3}}(\w+) ", page)

    assert shown is not None and shown.groups() == ("Wh", "Wh")
    assert rows is not None and rows.groups() == ("Wh", "Wh")


def test_carbon_is_shown_beside_energy_where_a_region_is_given() -> None:
    footprint = Basis(region="de").footprint_of(200.0, 1e9)

    number = r"[\d.,e+-]+"
    shown = re.search(
        rf"used +{number} to {number} \w+ +{number} to {number} (\w+) CO2e, estimated.*\n +"
        rf"avoids +{number} to {number} \w+ +{number} to {number} (\w+) CO2e, per year",
        printed(200, footprint=footprint),
    )

    assert shown is not None and shown[1] == shown[2]
    assert "CO2e" not in printed(200, footprint=Basis().footprint_of(200.0, 1e9))
