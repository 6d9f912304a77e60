"""Admission: which calls may begin, what refuses the others, and which are evicted."""

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from compressor import memory
from compressor.calls import admission
from compressor.calls.admission import Admission, AdmissionLimits, AdmittedCall, client_key
from compressor.calls.client_clock import ClientLimits
from compressor.cores import cores
from compressor.errors import BusyError, CompressorError, DeadlineError
from compressor.memory import Resources

PEER = "10.0.0.7"


def admission_of(
    disk: str | None = None, budget: int | None = None, clients: ClientLimits | None = None, **limits: Any
) -> Admission:
    resources = Resources(memory_budget=budget, spool_dir=disk, overhead=10)
    return Admission(resources, AdmissionLimits(**limits), clients or ClientLimits())


async def enter(
    entered: Admission, stack: AsyncExitStack, peer: str = PEER, deadline: float | None = None
) -> AdmittedCall:
    return await stack.enter_async_context(entered.admitted(peer, deadline))


async def test_a_call_is_charged_from_its_arrival_to_its_end() -> None:
    entered = admission_of(budget=100)
    async with entered.admitted(PEER, None) as call:
        assert call.reservation.bytes == entered._resources.reserved_bytes == 10
        call.reservation.extend(50)
        call.reservation.shrink()
        assert call.reservation.bytes == entered._resources.reserved_bytes == 10
    assert entered._resources.reserved_bytes == entered.open_calls == 0


async def test_one_call_more_than_the_limit_is_refused_and_told_when_to_retry() -> None:
    entered = admission_of(calls=2)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        await enter(entered, stack)
        with pytest.raises(BusyError, match="2 calls are running") as refused:
            await enter(entered, stack)
        assert 0 < refused.value.retry_after_seconds <= admission.RETRY_SECONDS_MAX
    async with entered.admitted(PEER, None):
        pass


async def test_calls_of_one_address_are_limited() -> None:
    entered = admission_of(calls_per_peer=1)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        with pytest.raises(BusyError, match="of this client"):
            await enter(entered, stack)
        await enter(entered, stack, "10.0.0.8")
    assert not entered._peers


async def test_what_memory_has_no_room_for_is_refused() -> None:
    entered = admission_of(budget=25)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        await enter(entered, stack)
        with pytest.raises(BusyError, match="memory"):
            await enter(entered, stack)


async def test_a_call_that_is_canceled_while_memory_is_brought_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = admission_of(budget=25)
    resources = entered._resources
    monkeypatch.setattr(resources, "reservation_at_once", lambda: None)
    slow = resources.reservation

    def reservation() -> Any:
        time.sleep(0.1)
        return slow()

    monkeypatch.setattr(resources, "reservation", reservation)

    async def call() -> None:
        async with entered.admitted(PEER, None):
            raise AssertionError("it was canceled")

    task = asyncio.create_task(call())
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.2)
    assert resources.reserved_bytes == 0
    assert (entered._reclaiming, entered._entering) == (0, 0)


async def test_a_passed_deadline_is_not_let_in() -> None:
    with pytest.raises(DeadlineError):
        async with admission_of().admitted(PEER, time.monotonic() - 1):
            pass


async def test_a_call_is_refused_if_those_before_it_take_too_long() -> None:
    entered = admission_of(queue_seconds=10)
    async with AsyncExitStack() as stack:
        call = await enter(entered, stack)
        call.demand.expected_seconds = 4.0 * cores.count
        entered._backlog_at = 0.0
        await enter(entered, stack, deadline=time.monotonic() + 20)
        with pytest.raises(BusyError, match="expected to take"):
            await enter(entered, stack, deadline=time.monotonic() + 6)
        call.demand.expected_seconds = 11.0 * cores.count
        entered._backlog_at = 0.0
        with pytest.raises(BusyError, match="expected to take"):
            await enter(entered, stack)
        call.is_working = False
        entered._backlog_at = 0.0
        await enter(entered, stack)


async def test_calls_that_wait_for_their_clients_are_not_expected_to_need_cores() -> None:
    entered = admission_of()
    async with entered.admitted(PEER, None) as call:
        now = time.monotonic()
        assert call.backlog_seconds(0.02, now) == 0.02
        call.clock.upload.begin(now)
        assert call.backlog_seconds(0.02, now + 0.1) == 0.02
        assert call.backlog_seconds(0.02, now + 1) == 0


async def test_the_latest_client_makes_way_when_there_is_no_room() -> None:
    entered = admission_of(calls=3)
    ended: list[tuple[str, CompressorError]] = []
    async with AsyncExitStack() as stack:
        now = time.monotonic()
        for name, seconds in (("late", 5.0), ("latest", 7.0), ("prompt", 1.0)):
            call = await enter(entered, stack)
            call.clock.upload.begin(now - seconds)
            call.give_up = lambda error, name=name: ended.append((name, error))  # type: ignore[misc]
        for _ in range(3):
            with pytest.raises(BusyError):
                await enter(entered, stack)
    assert [name for name, _ in ended] == ["latest", "late"], "the prompt one stays"
    assert all(isinstance(error, BusyError) for _, error in ended)


async def test_a_client_that_takes_too_long_is_given_up_and_then_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CUT_OFF_SECONDS", 0.05)
    entered = admission_of(clients=ClientLimits(idle_seconds=0.1))
    events: list[str] = []
    watching = asyncio.create_task(entered.watch())
    async with entered.admitted(PEER, None) as call:
        call.give_up = lambda error: events.append(str(error))
        call.cut_off = lambda: events.append("cut off")
        call.clock.is_header_known = True
        call.clock.download.begin(time.monotonic())
        await asyncio.sleep(0.4)
    watching.cancel()
    assert events[0] == "nothing was read for 0.1 s"
    assert set(events[1:]) == {"cut off"}


def test_the_rate_of_work_is_that_of_the_time_with_enough_to_do() -> None:
    rate = admission.WorkRate()
    rate.measure(0.0, False, 0.0)
    assert rate.value == cores.count, "not known"
    for second in range(1, 21):
        rate.measure(0.25 * cores.count, True, float(second))
        rate.measure(0.01, False, second + 0.5)  # too little to do: neither its work nor its time counts
    assert rate.value == pytest.approx(0.5 * cores.count, rel=0.01), "0.25 s of work of each core in 0.5 s"


async def test_work_counts_while_calls_still_run() -> None:
    """Two calls of 5 s for each core, and all cores work: it takes 10 s, and a second less after each second."""
    entered, now = admission_of(), time.monotonic()
    async with AsyncExitStack() as stack:
        calls = [await enter(entered, stack) for _ in range(2 * cores.count)]
        for call in calls:
            call.demand.expected_seconds = 5.0
        for second in range(5):
            assert entered.expected_seconds(now + second + 1) == pytest.approx(10 - second, rel=0.05)
            for call in calls[: cores.count]:
                call.demand.spent_seconds += 1.0


async def test_the_reservation_is_kept_until_the_thread_of_a_call_has_ended_too() -> None:
    """A thread that is inside Pillow when its call is canceled still has its memory, and may ask for more."""
    entered = admission_of(budget=100)
    resources = entered._resources
    async with entered.admitted(PEER, None) as call:
        call.share()
    assert (entered.open_calls, resources.reserved_bytes) == (0, 10)
    call.reservation.extend(50)
    call.reservation.shrink()
    call.leave()
    assert resources.reserved_bytes == 0


async def test_waits_for_memory_are_bounded_whoever_still_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    entered, is_over = admission_of(budget=1000), threading.Event()
    resources, reservation = entered._resources, entered._resources.reservation

    def slow() -> Any:
        is_over.wait(10)
        return reservation()

    monkeypatch.setattr(resources, "reservation_at_once", lambda: None)
    monkeypatch.setattr(resources, "reservation", slow)

    async def call() -> None:
        async with entered.admitted(PEER, None):
            pass

    tasks = [asyncio.create_task(call()) for _ in range(40)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(BusyError, match="memory is short"):
        await call()
    async with asyncio.timeout(1):
        await asyncio.to_thread(lambda: None)  # other work has other threads
    is_over.set()
    await asyncio.sleep(0.2)
    assert (entered._reclaiming, resources.reserved_bytes) == (0, 0)


async def test_a_call_is_refused_while_another_has_waited_long_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PATIENCE_SECONDS", 0.01)
    entered, is_over = admission_of(budget=100, queue_seconds=0.2), threading.Event()
    resources = entered._resources

    def still_wanted() -> None:
        if is_over.is_set():
            raise InterruptedError

    with resources.reservation() as first, resources.reservation() as second:
        first.extend(70)
        waiting = asyncio.create_task(asyncio.to_thread(second.extend, 50, still_wanted))
        await asyncio.sleep(0.3)
        assert resources.longest_wait_seconds > 0.1
        with pytest.raises(BusyError, match="waiting for memory"):
            async with entered.admitted(PEER, None):
                pass
        is_over.set()
        with pytest.raises(InterruptedError):
            await waiting
    assert resources.longest_wait_seconds == 0.0


@pytest.mark.parametrize(
    "host, client",
    [
        ("10.0.0.7", "10.0.0.7"),
        ("%5B::1%5D", "::/64"),  # as gRPC writes it
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("fe80::1%25eth0", "fe80::/64"),
        ("/run/socket", "/run/socket"),
    ],
)
def test_calls_of_one_client_have_one_key(host: str, client: str) -> None:
    assert client_key(host) == client
