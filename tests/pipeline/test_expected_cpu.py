"""The CPU time that a request is expected to take, and deadlines that it can't meet."""

import time

import pytest

from compressor import pipeline
from compressor.cores import Demand
from compressor.errors import DeadlineError
from compressor.memory import Resources
from compressor.pipeline import expected_cpu
from compressor.settings import Effort, Settings, Source
from tests.jpeg_files import jpeg

PICTURE = Source(format="jpeg", description="", width=1000, height=1000, channels=3)


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_cpu, "_rates", {})


def test_more_pixels_and_more_effort_are_expected_to_take_longer() -> None:
    expected = [expected_cpu.expected_seconds(PICTURE, Settings(effort=effort))[1] for effort in Effort]
    assert expected == sorted(expected)
    poster = Source(format="jpeg", description="", width=9000, height=9000, channels=3)
    seconds = [expected_cpu.expected_seconds(picture, Settings())[1] for picture in (PICTURE, poster)]
    assert seconds[1] > 10 * seconds[0]


def test_the_cpu_time_of_each_kind_of_request_is_learned() -> None:
    before = expected_cpu.expected_seconds(PICTURE, Settings())
    for _ in range(60):
        expected_cpu.learn(PICTURE, Settings(effort=Effort.BEST), 3.0)
    least, expected = expected_cpu.expected_seconds(PICTURE, Settings(effort=Effort.BEST))
    assert expected == pytest.approx(3.0, rel=0.01)
    assert least == pytest.approx(0.04), "slow requests raise the least time"
    expected_cpu.learn(PICTURE, Settings(effort=Effort.BEST), 0.022)
    assert expected_cpu.expected_seconds(PICTURE, Settings(effort=Effort.BEST))[0] == pytest.approx(0.02)
    assert expected_cpu.expected_seconds(PICTURE, Settings()) == before


def test_slow_files_do_not_raise_the_least_time_of_others() -> None:
    expected_cpu.learn(PICTURE, Settings(), 0.012)
    for _ in range(1000):
        expected_cpu.learn(PICTURE, Settings(), 100.0)
    least, expected = expected_cpu.expected_seconds(PICTURE, Settings())
    assert least == pytest.approx(0.01)  # of the first one
    assert expected > 50


def test_thumbnails_teach_nothing_about_posters() -> None:
    """A picture of one pixel takes a millisecond, too. By the pixel that would be hours for a poster."""
    before = expected_cpu.expected_seconds(PICTURE, Settings())
    thumbnail = Source(format="jpeg", description="", width=1, height=1, channels=3)
    for _ in range(1000):
        expected_cpu.learn(thumbnail, Settings(), 0.01)
    assert expected_cpu.expected_seconds(PICTURE, Settings()) == before


def test_a_result_adds_to_what_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected_cpu, "PIXELS_MIN", 1)
    pipeline.compress(jpeg(175, 121))
    assert len(expected_cpu._rates) == 1


def test_a_request_that_would_end_after_its_deadline_raises_and_frees_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resources = Resources()
    monkeypatch.setattr(expected_cpu, "FIRST_RATES", dict.fromkeys(Effort, 1e-3))
    with pytest.raises(DeadlineError, match="can't be met"):
        b"".join(pipeline.stream([jpeg(175, 121)], resources=resources, demand=Demand(time.monotonic() + 1)))
    assert resources.reserved_bytes == resources.spooled_bytes == 0
    job = pipeline.stream([jpeg(175, 121)], resources=resources, demand=Demand(time.monotonic() + 1000))
    assert b"".join(job)
    with pytest.raises(DeadlineError):
        b"".join(pipeline.stream([jpeg(175, 121)], resources=resources, demand=Demand(time.monotonic() - 1)))
