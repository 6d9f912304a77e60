"""The progress of a batch run, on a terminal and in a log."""

import io
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from compressor.cli import batch_progress as output
from compressor.cli.batch_progress import Live, Rate, counted
from compressor.report.summary import Progress

HALF = Progress(600, 1_000_000_000, 700_000_000, 3, True, "asked to slow down, 2.0 s", 1_200, 2_000_000_000)


class Screen(io.StringIO):
    """Standard error, of a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def terminal(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Put a screen of 80 columns in place of standard error."""
    screen = Screen(terminal=True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(output, "FRAMES_A_SECOND", 50)
    monkeypatch.setattr(output, "error_console", lambda: Console(file=screen, force_terminal=True, width=80))
    return screen


def test_a_terminal_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)

    with Live() as live:
        live.update(HALF)
        assert eventually(lambda: "waiting" in screen.getvalue())

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    for words in (
        "600 of 1,200 objects",
        "50%",
        "1.00 GB → 700 MB   saved 300 MB (30.0%)",
        "objects/s",
        "3 failed",
        "waiting: asked to slow down",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_terminal_shows_no_share_of_what_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)

    with Live() as live:
        live.update(replace(HALF, listed_all=False))
        assert eventually(lambda: "600 of 1,200 objects found, still listing" in screen.getvalue())

    assert "%" not in screen.getvalue().replace("(30.0%)", "").replace("(0.0%)", "")
    assert "left" not in screen.getvalue()


def test_standard_output_is_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal(monkeypatch)

    with Live():
        print('{"json": true}')

    assert capsys.readouterr().out == '{"json": true}\n'
    assert "json" not in screen.getvalue()


def log(monkeypatch: pytest.MonkeyPatch, line_seconds: float) -> Screen:
    """No terminal, in place of standard error."""
    screen = Screen(terminal=False)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(output, "LINE_SECONDS", line_seconds)
    return screen


def test_a_log_has_a_line_now_and_then_also_where_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = log(monkeypatch, 0.05)

    with Live() as live:
        live.update(HALF)
        assert eventually(lambda: screen.getvalue().count("\n") >= 3)

    words = (
        r"\d\d:\d\d:\d\d batch: 600 of 1,200 objects; 1\.00 GB → 700 MB, saved 300 MB \(30\.0%\); "
        r"[\d.,]+ objects/s, [\d.]+ [kMG]?B/s;( [\w ]+ left;)? 3 failed; waiting: asked to slow down, 2\.0 s"
    )
    assert all(re.fullmatch(words, line) for line in screen.getvalue().splitlines())
    assert "\x1b" not in screen.getvalue()


def test_a_log_ends_with_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = log(monkeypatch, 1_000)

    with pytest.raises(ValueError), Live() as live:
        for objects in range(10):
            live.update(Progress(objects, 0, 0, 0, True))
        raise ValueError

    (line,) = screen.getvalue().splitlines()
    assert "9 objects; 0 B → 0 B, saved 0 B (0.0%)" in line


def test_an_update_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    log(monkeypatch, 1_000)

    with Live() as live:
        start = time.thread_time()
        for _ in range(10_000):
            live.update(HALF)
        seconds = time.thread_time() - start

    assert seconds / 10_000 < 50e-6


def test_the_rate_is_that_of_the_last_minute_and_not_of_earlier_runs() -> None:
    rate = Rate()
    for second in range(301):
        objects = 1_000_000 + (10 * second if second <= 200 else 2_000 + (second - 200))
        rate.update(float(second), Progress(objects, objects * 1000, objects * 500))

    assert rate.objects == pytest.approx(1)
    assert rate.bytes == pytest.approx(1000)


def test_a_run_that_stands_still_has_no_rate_after_a_while() -> None:
    rate = Rate()
    rate.update(0.0, Progress(0))
    rate.update(10.0, Progress(100))
    rate.update(100.0, Progress(100))

    rate.update(170.0, Progress(100))

    assert rate.objects == 0


@pytest.mark.parametrize(
    "found, seconds", [((200, 9_000), 80.0), ((200, 0), 10.0), ((0, 0), None), ((100, 1_000), None)]
)
def test_what_is_left_is_reckoned_by_bytes_where_they_are_known(found: tuple[int, int], seconds: float | None) -> None:
    rate, now = Rate(), Progress(100, 1_000, listed_all=True, found=found[0], found_bytes=found[1])
    rate.update(0.0, Progress())
    rate.update(10.0, now)

    assert rate.left_seconds(now) == seconds
    assert rate.left_seconds(replace(now, listed_all=False)) is None


def test_nothing_is_said_of_what_is_left_before_anything_is_done() -> None:
    rate, now = Rate(), Progress(listed_all=True, found=200, found_bytes=9_000)
    rate.update(0.0, now)

    assert rate.left_seconds(now) is None


@pytest.mark.parametrize(
    "progress, words",
    [
        (Progress(), "0 objects, still listing"),
        (Progress(found=12_500), "12,500 objects found, still listing"),
        (Progress(40, found=12_500), "40 of 12,500 objects found, still listing"),
        (Progress(40, found=12_500, listed_all=True), "40 of 12,500 objects"),
        (Progress(1, listed_all=True), "1 object"),  # of a restore, which does not count what it finds
    ],
)
def test_what_was_found_is_shown_before_anything_is_done(progress: Progress, words: str) -> None:
    assert counted(progress) == words


def test_a_log_says_what_was_found_while_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = log(monkeypatch, 0.05)

    with Live() as live:
        live.update(Progress(found=12_500))
        assert eventually(lambda: "\n" in screen.getvalue())

    assert re.fullmatch(r"\d\d:\d\d:\d\d batch: 12,500 objects found, still listing", screen.getvalue().splitlines()[0])


def test_a_command_that_fails_before_it_begins_writes_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = log(monkeypatch, 1_000)

    with pytest.raises(ValueError), Live():
        raise ValueError

    assert screen.getvalue() == ""
