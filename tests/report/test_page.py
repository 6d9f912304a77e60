"""A run's report page: its text, its structure, and keys that can't inject anything into it."""

import base64
import io
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compressor.footprint import Basis
from compressor.humanize import printable
from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.report.page import render, write
from compressor.report.plots import formats_plot, histogram_plot, median_step
from compressor.report.summary import Problem, Sample, Summary
from compressor.settings import Bounds
from tests.report.summaries import HOSTILE, PROJECTION, summary

VOID = {"meta", "img", "br"}
PLAIN = set(
    re.findall(r"\w+", "html head title style body header section footer div p span strong small code sup h1 h2 h3")
)
BLOCKS = set(re.findall(r"\w+", "dl dt dd table thead tbody tfoot tr th td figure figcaption svg text rect path line"))
ATTRIBUTES = set(re.findall(r"[\w-]+", "lang charset http-equiv content name class scope alt width height src"))
ATTRIBUTES |= set(re.findall(r"[\w-]+", "viewbox preserveaspectratio role aria-label"))
ATTRIBUTES |= set(re.findall(r"[\w-]+", "x y x1 x2 y1 y2 d fill text-anchor"))


class Page(HTMLParser):
    """The tags, attributes and text of a page, whose tags must all be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def picture(quality: int) -> bytes:
    noise = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((320, 240)).save(file, "JPEG", quality=quality)
    return file.getvalue()


def hostile() -> Summary:
    """Return a summary in which every external string is hostile."""
    return summary(
        source=f"s3://{HOSTILE}",
        target=f"s3://x{HOSTILE}",
        totals=(Total(ObjectOutcome.KEPT, Reason.NONE, HOSTILE, HOSTILE, 1, 10, 10, 0.0), *summary().totals),
        problems=(Problem(HOSTILE, 1, Reason.OTHER, HOSTILE, (HOSTILE,)),),
        notices={HOSTILE: 1},
        ledger=HOSTILE,
        keep=HOSTILE,
        stage_seconds={HOSTILE: 1.0},
        samples=(Sample(HOSTILE, HOSTILE.encode(errors="replace"), b""), Sample(HOSTILE, picture(90), picture(40))),
    )


KINDS: list[Callable[[], Summary]] = [
    summary,
    hostile,
    lambda: summary(mode="dry run", projection=PROJECTION),
    lambda: summary(footprint=Basis(region="de").footprint_of(1.0, 1e9)),
    lambda: summary(mode="in place", keep="before/", interrupted=True, problems_more=1_000),
    lambda: summary(known_failures={"broken_image": 9, "unavailable": 1}, accept_failures=True),
    lambda: summary(totals=(), problems=(), notices={}, stage_seconds={}, histogram=(), wall_seconds=0.0),
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_is_well_formed_and_fetches_nothing(kind: Callable[[], Summary]) -> None:
    text = render(kind())
    page = Page(text)

    assert {tag for tag, _ in page.elements} <= PLAIN | BLOCKS | VOID
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in page.of("img"))
    assert "url(" not in text and "@import" not in text
    assert any("default-src 'none'" in str(meta.get("content")) for meta in page.of("meta"))


def test_hostile_text_is_shown_and_has_no_effect() -> None:
    page = Page(render(hostile()))

    shown = printable(HOSTILE)
    assert page.text.count(shown) >= 13  # source, target, format, key, error, notice, ledger, stage, samples …
    assert "alert" not in " ".join(str(value) for _, found in page.elements for value in found.values())
    assert shown.isprintable()


def test_the_page_begins_with_the_savings_and_then_gives_the_details() -> None:
    text = Page(render(summary())).text

    assert re.search(
        r"Compressed to another destination s3://photos/originals → s3://photos/small 35\.0% saved: 700 kB", text
    )
    for words in (
        "10 objects failed: broken images were copied unchanged.",
        "compressed JPEG 400 1.50 MB 1.10 MB 400 kB 26.7%",
        "copied: already small PNG 50 70.0 kB",
        "broken image 9 19.0 kB",
        "a/1.jpg broken image JPEG: SOS at byte 17: cut off 2.00 kB",
        "ACL 450",
        "lossless, effort balanced",
        "min saving 0.05",
        summary().settings.digest(),
        "2023-11-14 22:15:00 UTC",
        "photos.ledger",
    ):
        assert words in text
    assert "quality 80" not in text  # which had no effect


def test_format_changes_have_a_table_with_bytes_by_both_formats() -> None:
    changed = Total(ObjectOutcome.COMPRESSED, Reason.NONE, "jpeg", "pixels", 2, 5_000, 2_000, 1.0, result_format="webp")
    text = Page(render(summary(totals=(*summary().totals, changed)))).text

    assert "Formats that changed" in text and "JPEG → WebP" in text
    row = text[text.index("Formats that changed") :]
    assert row.index("JPEG") < row.index("WebP") < row.index("5.00 kB") < row.index("2.00 kB") < row.index("60.0%")
    assert "Formats that" not in Page(render(summary())).text
    assert "Formats that would change" in Page(render(summary(mode="dry run", totals=(changed,)))).text


def test_a_dry_run_shows_its_confidence_interval() -> None:
    page = Page(render(summary(mode="dry run", projection=PROJECTION)))

    assert "31% ± 2% would be saved: 1.21 MB of 3.90 MB" in page.text
    assert "Projected from 1,000 of 48,000 objects; with 95% confidence 1.13 MB to 1.29 MB." in page.text
    assert "31.0% of the bytes saved, between 29.0% and 33.0%" in [svg["aria-label"] for svg in page.of("svg")]


def test_a_run_in_place_says_where_the_originals_are() -> None:
    kept, discarded = (Page(render(summary(mode="in place", keep=keep))).text for keep in ("before/", None))

    assert "Originals kept in before/" in kept
    assert "Originals not kept" in discarded


def test_an_interrupted_run_and_a_truncated_list_are_labeled() -> None:
    text = Page(render(summary(interrupted=True, problems_more=1_000))).text

    assert "The run was interrupted." in text
    assert "The first 1; the ledger has 1,000 more" in text


def test_known_failures_are_distinguished_from_new_ones() -> None:
    problems = (Problem("new.jpg", 9, Reason.BROKEN, "x"), Problem("old.jpg", 9, Reason.BROKEN, "y", (), True))

    text = Page(render(summary(problems=problems, known_failures={"broken_image": 7}))).text

    assert "7 objects failed as in an earlier run, and the objects have not changed since: known." in text
    assert "3 objects failed: broken images were copied unchanged." in text
    assert "10 7 of them known" in text
    assert "broken image, known" in text
    accepted = Page(render(summary(known_failures={"broken_image": 9, "unavailable": 1}, accept_failures=True))).text
    assert (
        "10 objects failed as in an earlier run, and the objects have not changed since: known, and accepted."
        in accepted
    )
    assert "objects failed: broken" not in accepted


def test_bar_lengths_are_proportional_to_bytes() -> None:
    (_, widths), (_, small) = (
        (name, [float(rect["width"] or 0) for rect in Page(formats_plot(rows)).of("rect")])
        for name, rows in (("one", [("jpeg", 1000, 250)]), ("two", [("jpeg", 1000, 250), ("png", 500, 0)]))
    )

    assert widths[0] == pytest.approx(3 * widths[1], abs=0.2)
    assert small[2] == pytest.approx((small[0] + small[1]) / 2, abs=0.2)
    assert small[3] == 0


def test_column_heights_are_proportional_to_counts() -> None:
    page = Page(histogram_plot((0, 10, 40, 20)))

    heights = [float(rect["height"] or 0) for rect in page.of("rect")]
    assert heights == pytest.approx([0, heights[2] / 4, heights[2], heights[2] / 2], abs=0.2)
    assert "saved 10% to 15%: 40 objects" in page.text
    assert "0 10 20 30 40" in page.text


@pytest.mark.parametrize(
    "counts, step", [((0, 10, 40, 20), 0.10), ((1,), 0), ((0, 0, 1), 0.10), ((5, 5), 0.05), ((6, 5), 0)]
)
def test_the_median_is_an_edge_that_half_of_the_objects_reach(counts: tuple[int, ...], step: float) -> None:
    assert median_step(counts) == pytest.approx(step)


@pytest.mark.parametrize("top", [1, 5, 6, 13, 99, 100, 12_345, 10**8])
def test_the_axis_has_a_few_round_numbers_for_any_height(top: int) -> None:
    marks = [int(mark.replace(",", "")) for mark in re.findall(r">([\d,]+)</text>", histogram_plot((top,)))]

    step = marks[1]
    assert marks == list(range(0, top + 1, step))
    assert 2 <= len(marks) <= 6
    assert str(step).rstrip("0") in ("1", "2", "5")


def test_samples_are_shown_side_by_side_at_twice_their_size() -> None:
    before, after = picture(95), picture(30)

    page = Page(render(summary(samples=(Sample("a.jpg", before, after, 71.25),))))

    images = page.of("img")
    assert [image["alt"] for image in images] == ["before", "after"]
    assert [(image["width"], image["height"]) for image in images] == [("224", "224")] * 2
    shown = [Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))) for image in images]
    assert [image.size for image in shown] == [(112, 112)] * 2
    assert f"saved {1 - len(after) / len(before):.1%}, SSIMULACRA2 71.2 a.jpg" in page.text


def test_a_sample_that_cannot_be_shown_says_why_and_at_most_twelve_are_shown() -> None:
    page = Page(render(summary(samples=(Sample("a", b"no image", b"x"),) * 15)))

    assert page.text.count("Not shown: ") == 12
    assert page.of("img") == []


def test_the_page_appears_when_it_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.html"

    write(hostile(), path)
    assert path.read_text(encoding="utf-8") == render(hostile())

    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(summary(), path)
    assert [found.name for found in tmp_path.iterdir()] == ["run.html"]


def words_of(run: Summary) -> str:
    return Page(render(run)).text


def test_estimates_are_ranges_with_a_disclosure_or_absent() -> None:
    words = words_of(summary(footprint=Basis(grid_grams_per_kwh=383.55).footprint_of(6.5, 1e9)))

    assert "ESTIMATES, not measured: profile conservative, model" in words and "Not an offset." in words
    assert "mg CO2e" in words and "hdd-3az" in words
    without = words_of(summary(footprint=Basis().footprint_of(6.5, 1e9)))
    assert "CO2e." in without and "mg CO2e" not in without
    assert "ESTIMATES" not in words_of(summary())


def test_a_scenario_covers_what_was_saved_or_would_be() -> None:
    rate = Bounds(1e9, 2e9, 3e9)

    found = summary().avoided_per_year(rate)
    expected = [x * summary().saved_bytes for x in (1, 2, 3)]
    assert [found.low, found.central, found.high] == pytest.approx(expected)
    assert summary(projection=PROJECTION).avoided_per_year(rate).low == pytest.approx(PROJECTION.saved_bytes)


def test_failures_that_were_not_copied_are_reported() -> None:
    text = Page(render(summary(failed_copied=False))).text

    assert "copied unchanged" not in text
    assert (
        "9 objects that could not be processed as images were not copied: their metadata could not be removed" in text
    )
    for changes in ({}, {"failed_copied": False, "mode": "in place"}):
        assert "were not copied" not in Page(render(summary(**changes))).text
