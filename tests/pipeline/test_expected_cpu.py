"""The CPU time that a request is expected to take, and deadlines that it can't meet."""

import time

import pytest

from compressor import pipeline
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
    expected = [expected_cpu.expected_seconds(PICTURE, Settings(effort=effort)) for effort in Effort]
    assert expected == sorted(expected)
    poster = Source(format="jpeg", description="", width=9000, height=9000, channels=3)
    assert expected_cpu.expected_seconds(poster, Settings()) > 10 * expected_cpu.expected_seconds(PICTURE, Settings())


def test_the_cpu_time_of_each_kind_of_request_is_learned() -> None:
    before = expected_cpu.expected_seconds(PICTURE, Settings())
    for _ in range(60):
        expected_cpu.learn(PICTURE, Settings(effort=Effort.BEST), 3.0)
    assert expected_cpu.expected_seconds(PICTURE, Settings(effort=Effort.BEST)) == pytest.approx(3.0, rel=0.01)
    assert expected_cpu.expected_seconds(PICTURE, Settings()) == before


def test_a_result_adds_to_what_is_learned() -> None:
    pipeline.compress(jpeg(175, 121))
    assert len(expected_cpu._rates) == 1


def test_a_request_that_would_end_after_its_deadline_raises_and_frees_everything() -> None:
    resources = Resources()
    for _ in range(60):
        expected_cpu.learn(PICTURE, Settings(), 1000.0)
    with pytest.raises(DeadlineError, match="can't be met"):
        b"".join(pipeline.stream([jpeg(175, 121)], resources=resources, deadline=time.monotonic() + 1))
    assert resources.reserved_bytes == resources.spooled_bytes == 0
    job = pipeline.stream([jpeg(175, 121)], resources=resources, deadline=time.monotonic() + 1000)
    assert b"".join(job)
    with pytest.raises(DeadlineError):
        b"".join(pipeline.stream([jpeg(175, 121)], resources=resources, deadline=time.monotonic() - 1))
