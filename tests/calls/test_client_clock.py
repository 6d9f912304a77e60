"""When a client takes too long."""

import pytest

from compressor.calls.client_clock import ClientClock, ClientLimits, Direction

LIMITS = ClientLimits(header_seconds=5, idle_seconds=60, bytes_per_second_min=1000, call_seconds=3600)


def text(clock: ClientClock, now: float) -> str:
    return str(clock.problem(now) or "")


def clock(is_header_known: bool = True) -> ClientClock:
    made = ClientClock(LIMITS, 0.0)
    made.is_header_known = is_header_known
    return made


def test_time_counts_only_while_a_direction_waits() -> None:
    direction = Direction()
    direction.begin(10)
    direction.begin(11)  # it waits already
    assert direction.current(12) == 2
    direction.end(500, 13)
    assert (direction.seconds(100), direction.current(100), direction.bytes) == (3, 0, 500)
    assert direction.lateness(250, 100) == 1
    assert direction.lateness(100, 100) == 0, "ahead"


def test_a_header_that_does_not_arrive() -> None:
    waiting = clock(is_header_known=False)
    waiting.upload.begin(0)
    assert text(waiting, 4.9) == ""
    assert text(waiting, 5.1) == "the header of the image did not arrive within 5 s"
    waiting.is_header_known = True
    assert text(waiting, 5.1) == ""


def test_a_format_that_is_read_when_all_of_it_has_arrived_has_no_header_limit_after_its_beginning() -> None:
    waiting = clock(is_header_known=False)
    for second in range(50):
        waiting.upload.begin(second)
        waiting.received(16 << 10, second + 1)
    assert text(waiting, 50) == ""


def test_a_call_that_waits_for_a_core_before_its_header_is_known_is_not_late() -> None:
    waiting = clock(is_header_known=False)
    waiting.upload.begin(0)
    waiting.received(64_000, 1)
    assert text(waiting, 100) == ""


@pytest.mark.parametrize(
    "name, problem", [("upload", "nothing arrived for 60 s"), ("download", "nothing was read for")]
)
def test_an_idle_client(name: str, problem: str) -> None:
    waiting = clock()
    direction: Direction = getattr(waiting, name)
    direction.begin(0)
    direction.end(1_000_000, 1)
    direction.begin(2)
    assert text(waiting, 61.9) == ""
    assert problem in text(waiting, 62.1)


@pytest.mark.parametrize("name, problem", [("upload", "were sent"), ("download", "were read")])
def test_a_client_that_trickles_is_late_in_the_end(name: str, problem: str) -> None:
    """A byte a second is 60 s late after a minute; a thousand bytes a second never."""
    for rate, is_late in ((1, True), (1001, False)):
        waiting = clock()
        direction: Direction = getattr(waiting, name)
        for second in range(70):
            direction.begin(second)
            direction.end(rate, second + 1)
        assert (problem in text(waiting, 70)) is is_late, rate


def test_messages_without_bytes_are_no_progress() -> None:
    waiting = clock()
    for second in range(70):
        waiting.upload.begin(second)
        waiting.received(0, second + 1)
    assert text(waiting, 70) == "nothing arrived for 60 s"


def test_a_call_of_an_hour() -> None:
    assert text(clock(), 3599) == ""
    assert text(clock(), 3601) == "the call took longer than 3600 s"
