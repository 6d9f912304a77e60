"""docs/methodology.md agrees with the program, and the benchmark that draws its figure works."""

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.footprint import sensitivity, tables
from tests import ROOT

PAGE = ROOT / "docs" / "methodology.md"


def test_the_tables_of_the_page_are_those_of_the_model() -> None:
    """Written by `python -m benchmarks footprint --page docs/methodology.md`."""
    page = PAGE.read_text()

    assert tables.filled(page) == page
    assert {found[2] for found in tables.MARK.finditer(page)} == set(tables.TABLES)


def test_figures_in_the_text_are_those_of_the_model() -> None:
    alone, both = (sensitivity.net_grams(network) for network in (False, True))

    assert [f"{value:.3g}" for value in alone] == ["1.16", "4.49", "10.3"]
    assert [f"{value:.2g}" for value in both] == ["1.6", "8.3", "35"]


@pytest.mark.parametrize("word", ["green", "planet-friendly", "eco-friendly", "carbon-negative"])
def test_the_page_makes_no_generic_claim(word: str) -> None:
    """Titles of sources may contain them."""
    assert word not in PAGE.read_text().lower().partition("## coefficients")[0]


def test_the_widest_bar_is_first_and_bars_span_the_central_case() -> None:
    for network in (False, True):
        bars, centre = sensitivity.sensitivity(network), sensitivity.net_grams(network).central
        assert [bar.swing for bar in bars] == sorted((bar.swing for bar in bars), reverse=True)
        for bar in bars:
            least, most = sorted((bar.net_at_low, bar.net_at_high))
            assert least <= centre + 1e-12 and most >= centre - 1e-12, bar.name


def test_the_benchmark_records_draws_and_fills_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- made: breakeven -->\nold\n<!-- end -->\n")

    assert sensitivity.run(tmp_path, ["--page", str(page)])

    assert "old" not in page.read_text() and "| 365 days |" in page.read_text()
    assert "power of disks" in capsys.readouterr().out
    assert [path.suffix for path in sorted(tmp_path.glob("footprint-*"))] == [".json", ".png"]
    with Image.open(next(tmp_path.glob("*.png"))) as image:
        assert image.size == (1600, 700)
