"""Quotas of a tenant, with a clock that the tests set."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.errors import BusyError, LimitError
from compressor.service.quotas import Quota, QuotaLimits

MIB = 1 << 20


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def quota(clock: Clock, calls: float | None = None, bytes: float | None = None, memory: int | None = None) -> Quota:
    return Quota("shop", QuotaLimits(calls, bytes, memory), clock)


def admitted(one: Quota) -> bool:
    try:
        one.admit()
    except BusyError:
        return False
    return True


def test_without_limits_nothing_is_refused_or_slowed() -> None:
    one = quota(Clock())
    for _ in range(1000):
        one.admit()
    assert one.count(1 << 40) == 0.0
    one.reserve(1 << 40)
    assert one.reserved_bytes == 1 << 40
    one.release(1 << 40)
    assert one.reserved_bytes == 0


def test_a_call_too_many_is_busy_until_the_stated_time() -> None:
    clock = Clock()
    one = quota(clock, calls=4)
    assert [admitted(one) for _ in range(5)] == [True] * 4 + [False]
    with pytest.raises(BusyError, match="shop may make 4 calls per second") as caught:
        one.admit()
    assert caught.value.retry_after_seconds == pytest.approx(0.25)

    clock.now += caught.value.retry_after_seconds - 0.001
    assert not admitted(one)
    clock.now += 0.002
    assert admitted(one) and not admitted(one)


@pytest.mark.parametrize("rate", [0.5, 1, 10])
def test_over_a_long_time_the_rate_holds(rate: float) -> None:
    """Someone who tries a hundred times a second gets the rate, and once what accrues in a second."""
    clock = Clock()
    one = quota(clock, calls=rate)
    count = 0
    for _ in range(6000):
        count += admitted(one)
        clock.now += 0.01
    assert count == pytest.approx(60 * rate + max(rate, 1), abs=1)


def test_a_pause_saves_up_no_more_than_a_second() -> None:
    clock = Clock()
    one = quota(clock, calls=3)
    clock.now += 3600
    assert [admitted(one) for _ in range(4)] == [True, True, True, False]


def test_a_fast_upload_is_slowed_and_not_refused() -> None:
    clock = Clock()
    one = quota(clock, bytes=MIB)
    assert one.count(MIB) == 0.0, "what accrues in a second may come at once"
    assert one.count(MIB // 2) == pytest.approx(0.5)
    clock.now += 0.5
    assert one.count(0) == 0.0
    assert one.count(2 * MIB) == pytest.approx(2.0)


@given(st.lists(st.integers(1, 4 * MIB), min_size=5, max_size=50))
def test_who_waits_as_told_stays_within_the_rate(sizes: list[int]) -> None:
    clock = Clock()
    one = quota(clock, bytes=MIB)
    for size in sizes:
        clock.now += one.count(size)
    assert sum(sizes) <= (clock.now - 1000.0 + 1.0) * MIB * (1 + 1e-9)


def test_memory_at_once_is_busy_while_other_calls_have_it_and_a_limit_if_none_has() -> None:
    one = quota(Clock(), memory=10 * MIB)
    one.reserve(6 * MIB)
    with pytest.raises(BusyError, match="has reserved 6291456") as caught:
        one.reserve(5 * MIB)
    assert caught.value.retry_after_seconds > 0
    one.reserve(4 * MIB)
    one.release(6 * MIB)
    one.reserve(5 * MIB)
    assert one.reserved_bytes == 9 * MIB
    with pytest.raises(LimitError, match="more than the 10485760 that shop may reserve"):
        one.reserve(11 * MIB)


def test_other_limits_hold_at_once_and_what_is_in_use_counts() -> None:
    clock = Clock()
    one = quota(clock, calls=1, bytes=MIB, memory=10 * MIB)
    one.admit()
    one.reserve(8 * MIB)
    assert one.count(3 * MIB) == pytest.approx(2.0)

    one.change(QuotaLimits(calls=1, bytes=2 * MIB, memory=8 * MIB))
    assert not admitted(one), "the call before still counts"
    assert one.count(0) == pytest.approx(1.0)
    with pytest.raises(BusyError):
        one.reserve(1)
    one.change(QuotaLimits())
    assert admitted(one) and one.count(MIB) == 0.0
    one.reserve(MIB)
    assert one.reserved_bytes == 9 * MIB


def test_threads_together_get_no_more_than_the_limit() -> None:
    one = quota(Clock(), calls=100, memory=100)
    done: list[str] = []

    def use() -> None:
        for _ in range(500):
            if admitted(one):
                done.append("call")
            try:
                one.reserve(1)
                done.append("byte")
            except BusyError:
                pass

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (done.count("call"), done.count("byte"), one.reserved_bytes) == (100, 100, 100)
