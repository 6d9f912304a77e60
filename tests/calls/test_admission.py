"""The door: which calls are let in, what refuses the others, and which make way."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from compressor.calls import admission
from compressor.calls.admission import Admitted, Door, DoorLimits
from compressor.calls.patience import Patience
from compressor.cores import cores
from compressor.errors import BusyError, CompressorError, DeadlineError
from compressor.memory import Resources

PEER = "ipv4:10.0.0.7"


def door(disk: str | None = None, budget: int | None = None, patience: Patience | None = None, **limits: Any) -> Door:
    resources = Resources(memory_budget=budget, spool_dir=disk, overhead=10)
    return Door(resources, DoorLimits(**limits), patience or Patience())


async def enter(door: Door, stack: AsyncExitStack, peer: str = PEER, deadline: float | None = None) -> Admitted:
    return await stack.enter_async_context(door.admitted(peer, deadline))


async def test_a_call_is_charged_from_its_arrival_to_its_end() -> None:
    entered = door(budget=100)
    async with entered.admitted(PEER, None) as call:
        assert call.reservation.bytes == entered._resources.reserved_bytes == 10
        call.reservation.extend(50)
        call.reservation.shrink()
        assert call.reservation.bytes == entered._resources.reserved_bytes == 10
    assert entered._resources.reserved_bytes == entered.open_calls == 0


async def test_one_call_more_than_the_limit_is_refused_and_told_when_to_retry() -> None:
    entered = door(calls=2)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        await enter(entered, stack)
        with pytest.raises(BusyError, match="2 calls are running") as refused:
            await enter(entered, stack)
        assert 0 < refused.value.retry_after_seconds <= admission.RETRY_SECONDS_MAX
    async with entered.admitted(PEER, None):
        pass


async def test_calls_of_one_address_are_limited() -> None:
    entered = door(calls_per_peer=1)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        with pytest.raises(BusyError, match="of this client"):
            await enter(entered, stack)
        await enter(entered, stack, "ipv4:10.0.0.8")
    assert not entered._peers


async def test_what_memory_has_no_room_for_is_refused() -> None:
    entered = door(budget=25)
    async with AsyncExitStack() as stack:
        await enter(entered, stack)
        await enter(entered, stack)
        with pytest.raises(BusyError, match="memory"):
            await enter(entered, stack)


async def test_a_call_that_is_canceled_while_memory_is_brought_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = door(budget=25)
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
    assert (entered._patient, entered._entering) == (0, 0)


async def test_a_passed_deadline_is_not_let_in() -> None:
    with pytest.raises(DeadlineError):
        async with door().admitted(PEER, time.monotonic() - 1):
            pass


async def test_a_call_is_refused_if_those_before_it_take_too_long() -> None:
    entered = door(queue_seconds=10)
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
    entered = door()
    async with entered.admitted(PEER, None) as call:
        now = time.monotonic()
        assert call.backlog_seconds(0.02, now) == 0.02
        call.clock.upload.begin(now)
        assert call.backlog_seconds(0.02, now + 0.1) == 0.02
        assert call.backlog_seconds(0.02, now + 1) == 0


async def test_the_latest_client_makes_way_when_there_is_no_room() -> None:
    entered = door(calls=3)
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
    entered = door(patience=Patience(idle_seconds=0.1))
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
    rate.measure(False, 0.0)
    assert rate.value == cores.count, "not known"
    for second in range(1, 21):
        rate.count(0.25 * cores.count)
        rate.measure(True, float(second))
        rate.count(0.0)
        rate.measure(False, second + 0.5)  # too little to do: neither its work nor its time counts
    assert rate.value == pytest.approx(0.5 * cores.count, rel=0.01), "0.25 s of work of each core in 0.5 s"


def test_the_first_in_the_queue_for_memory_says_how_long_it_has_waited(tmp_path: Path) -> None:
    resources = Resources(memory_budget=100)
    assert resources.longest_wait_seconds == 0.0
