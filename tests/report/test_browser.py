"""The report in a real browser, at the width of a desk and of a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor.footprint import Basis
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.prices import Price
from compressor.report.money import Prices
from compressor.report.page import write
from compressor.report.summary import Problem, Sample
from tests.report.summaries import HOSTILE, SCORES, TOTALS, summary
from tests.report.test_page import picture
from tests.service.http.browser import Browser

LONG = "a/very/long/folder/" + "x" * 80 + "/IMG_20240101_123456789_HDR.jpg"
WIDTHS = {"desk": 1280, "phone": 390}
OUTSIDE = """[...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > innerWidth && !one.closest('.wide'))
    .map(one => one.outerHTML.slice(0, 80))"""
HIDDEN_CELLS = """[...document.querySelectorAll('.wide')].filter(one => one.scrollWidth > one.clientWidth)
    .map(one => one.textContent.slice(0, 80))"""
TEXT_SIZES = """[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height)"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report with every section, and with text that is too long for a line."""
    kept = Total(ObjectOutcome.KEPT, Reason.NOT_REENCODED, "jp2", "none", 48_000, 10**15, 10**15, 0.0)
    converted = Total(ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "pixels", 48_000, 10**15, 10**14, 0.0, 0.0, "webp")
    prices = Prices(storage=Price(0.023, "USD"), egress=Price(0.09), downloads_per_month=1_000)
    run = summary(
        mode="in place", keep=f"s3://photos/{LONG}", versioned=True, totals=(*TOTALS, kept, converted), scores=SCORES,
        prices=prices, footprint=Basis(region="de").footprint_of(6.5, 1e9), notices={LONG: 450, HOSTILE: 0},
        problems=(Problem(LONG, 2_000, Reason.BROKEN, "JPEG: SOS at byte 17: cut off; " * 3), *summary().problems),
        samples=tuple(Sample(key, picture(90), picture(40), 71.2) for key in (LONG, "b.jpg")),
        histogram=tuple(range(0, 20_000_000, 1_000_000)),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("report") / "run.html"
    write(run, path)
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_report_fits_its_screen_and_is_legible(browser: Browser, page: Path, width: int) -> None:
    browser.problems.clear()
    browser.size(width, 844, mobile=width < 500)
    browser.open(page.as_uri())

    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(OUTSIDE) == []
    assert browser.value(HIDDEN_CELLS) == []
    assert min(browser.value(TEXT_SIZES)) >= 9  # pixels of CSS, as high as a line
    assert browser.problems == []
