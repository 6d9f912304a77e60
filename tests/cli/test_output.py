"""Output for people and for programs, and on a terminal."""

import io
import json
import sys
import time
import types

import pytest
from rich.console import Console

from compressor.cli import output
from compressor.settings import Outcome, Report
from tests.cli.fakes import FakePipeline, run


def test_the_report_for_people_shows_what_was_saved(fake: FakePipeline) -> None:
    fake.changes["notices"] = ("gain map kept as it was",)

    text, _ = run("compress", "photo.jpg", "--quality", "85")

    assert "photo.jpg → photo.compressed.jpg" in text
    for words in ("1.00 kB", "JPEG, 4000 × 3000", "500 B", "quality 85", "50.0%", "MP/s, requantized", "gain map"):
        assert words in text


@pytest.mark.parametrize(
    "options, shown, hidden",
    [
        (("--score",), ("quality 80", "score", "77.3", "SSIMULACRA2"), ("encodings", "target")),
        (("--target-score", "76.5"), ("SSIMULACRA2, target 76.5, 3 encodings",), ("quality",)),
        (("--max-bytes", "200KB"), ("JPEG, at most 200 kB", "77.3", "3 encodings"), ("quality", "target")),
        (("--max-bytes", "200KB", "--quality", "70"), ("JPEG, quality 70, at most 200 kB",), ("target",)),
    ],
)
def test_the_report_for_people_shows_the_score_its_target_and_the_encodings(
    fake: FakePipeline, options: tuple[str, ...], shown: tuple[str, ...], hidden: tuple[str, ...]
) -> None:
    fake.changes |= {"score": 77.31, "encodings": 1 if "--score" in options else 3}

    text, _ = run("compress", "photo.jpg", *options)

    assert [words for words in shown if words not in text] == []
    assert [words for words in hidden if words in text] == []


def test_quiet_prints_nothing_and_verbose_what_was_decided(fake: FakePipeline) -> None:
    fake.changes |= {"reserved_bytes": 9_500_000, "encodings": 3, "notices": ("a notice",)}

    assert run("compress", "photo.jpg", "--quiet") == ("", "")
    text = run("compress", "photo.jpg", "-v", "--force")[0]

    for words in ("memory  9.50 MB", "tried   3 encodings", "decode 0.25 s, encode 0.50 s", "requantized"):
        assert words in text
    assert "--quiet and --verbose contradict each other" in run("compress", "photo.jpg", "-q", "-v", code=2)[1]


def test_an_unchanged_result_is_reported_with_its_reason(fake: FakePipeline) -> None:
    fake.changes |= {"outcome": Outcome.UNCHANGED, "reason": "already small", "bytes_out": 1000}

    text, _ = run("compress", "photo.jpg")

    assert "unchanged: already small" in text
    assert "quality" not in text


def test_a_misleading_file_name_is_noted(fake: FakePipeline) -> None:
    _, error = run("compress", "photo.jpg", "-o", "out.png", "--format", "auto")

    assert "note  out.png holds JPEG" in error


def test_json_prints_only_the_report(fake: FakePipeline) -> None:
    text, error = run("compress", "photo.jpg", "--json")

    report = json.loads(text)
    assert error == ""
    assert report["outcome"] == "compressed"
    assert report["path"] == "coefficients"
    assert (report["bytes_in"], report["bytes_out"], report["saved"]) == (1000, 500, 0.5)
    assert report["cpu_seconds"] == 0.75
    assert (report["source"], report["target"]) == ("photo.jpg", "photo.compressed.jpg")
    assert set(report) == set(Report.__slots__) | {"cpu_seconds", "saved", "source", "target"}


def test_inspect_gives_people_and_programs_the_same_facts(fake: FakePipeline) -> None:
    text, _ = run("inspect", "photo.jpg")
    source = json.loads(run("inspect", "photo.jpg", "--json")[0])

    for words in ("baseline JPEG 4:2:0", "4000 × 3000", "12.00 MP", "about 92", "9.50 MB"):
        assert words in text
    assert source["quality"] == 92
    assert source["reserved_bytes"] == 9_500_000


def test_progress_is_shown_on_a_terminal_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(output, "PROGRESS_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(output, "error_console", lambda: Console(file=screen, force_terminal=True, width=100))
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True))

    with output.Bar("photo.jpg", 1000) as bar:
        assert list(bar.watch([bytes(400)])) == [bytes(400)]
        deadline = time.monotonic() + 10
        while "photo.jpg" not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)

    assert "photo.jpg" in screen.getvalue()


def test_progress_is_not_shown_for_short_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "error_console", lambda: pytest.fail("a bar was made"))
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: True))

    with output.Bar("photo.jpg", 1000) as bar:
        assert list(bar.watch([bytes(400)])) == [bytes(400)]
