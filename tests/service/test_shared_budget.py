"""Budgets that are shared by processes: shares, the minimum, requests that wait, and processes that end."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from compressor import memory, spool, spool_budget
from compressor.errors import BusyError, LimitError
from compressor.memory import Reservation, Resources
from compressor.service.shared_budget import NO_CEILING, BudgetShares, SharedBudget
from compressor.spool_directory import default_spool_dir
from tests.service.running import eventually

MIB = 1 << 20


class Sent:
    """A budget of 100 bytes, and what it sends: `sent` is emptied by each `take`."""

    def __init__(self, processes: int, floor: int | None = None) -> None:
        minimum = 100 // (2 * processes)
        self._sent: list[tuple[str, Hashable, int]] = []
        self.budget = SharedBudget(
            100,
            minimum,
            minimum if floor is None else floor,
            lambda process, count: self._sent.append(("grow", process, count)),
            lambda process, count: self._sent.append(("limit", process, count)),
        )
        for process in "abcd"[:processes]:
            assert self.budget.join(process) == minimum

    def take(self) -> list[tuple[str, Hashable, int]]:
        sent, self._sent = self._sent, []
        return sent


def test_a_request_is_served_from_what_is_in_no_share() -> None:
    sent = Sent(2)
    sent.budget.ask("a", 60)

    assert sent.take() == [("grow", "a", 35)]
    assert (sent.budget.idle, sent.budget.share_of("a"), sent.budget.share_of("b")) == (15, 60, 25)


def test_a_small_request_gets_some_more_so_that_the_next_one_needs_no_message() -> None:
    sent = Sent(1)  # the minimum is 50
    sent.budget.ask("a", 51)

    assert sent.take() == [("grow", "a", 6)]


def test_shares_above_the_minimum_are_taken_back_when_others_ask() -> None:
    sent = Sent(2)
    sent.budget.ask("a", 75)
    sent.budget.ask("a", 0)
    sent.take()
    sent.budget.ask("b", 40)

    assert sent.take() == [("limit", "a", 60)]
    sent.budget.give_back("a", 5)
    assert sent.take() == [("grow", "b", 5)]
    sent.budget.give_back("a", 10)
    assert sent.take() == [("grow", "b", 10), ("limit", "a", NO_CEILING)]
    assert sent.budget.share_of("b") == 40


def test_the_minimum_is_kept_unless_a_single_request_needs_more_than_the_rest() -> None:
    sent = Sent(2)
    sent.budget.ask("b", 30)
    sent.budget.ask("b", 0)
    sent.budget.ask("a", 75)
    assert sent.take()[-1] == ("limit", "b", 25)
    sent.budget.ask("a", 76)
    assert sent.take() == [("limit", "b", 24)]

    sent.budget.give_back("b", 6)
    assert sent.take() == [("grow", "a", 6), ("limit", "b", NO_CEILING)]
    sent.budget.ask("a", 0)  # then the others get their minimum back
    assert sent.take() == [("limit", "a", 75)]
    sent.budget.give_back("a", 1)
    assert sent.take() == [("grow", "b", 1), ("limit", "a", NO_CEILING)]


def test_what_was_lent_for_a_request_is_not_taken_back_before_it_is_used() -> None:
    """Two processes with waiting requests would pass the same bytes back and forth."""
    sent = Sent(2)
    sent.budget.ask("a", 60)
    sent.budget.ask("b", 60)
    assert sent.take() == [("grow", "a", 35), ("grow", "b", 15)]
    sent.budget.ask("a", 0)
    assert sent.take() == [("limit", "a", 40)]


def test_the_next_request_of_a_process_comes_after_those_of_others() -> None:
    sent = Sent(2)
    sent.budget.ask("a", 75)
    sent.budget.ask("b", 50)
    sent.take()
    sent.budget.ask("a", 80)

    assert sent.take() == [("limit", "a", 50)]


def test_requests_are_served_in_the_order_of_their_arrival() -> None:
    sent = Sent(2)
    sent.budget.ask("a", 90)
    sent.budget.ask("b", 30)  # waits, although it is smaller
    sent.take()
    sent.budget.give_back("b", 10)
    assert ("grow", "a", 10) in sent.take()
    sent.budget.give_back("b", 5)
    assert ("grow", "a", 5) in sent.take()
    sent.budget.ask("a", 0)
    assert sent.budget.share_of("b") == 10
    assert sent.take() == [("limit", "a", 70)]


def test_a_share_that_is_given_back_while_a_request_is_served_is_lent_again() -> None:
    """Messages cross: the request is open until its process withdraws it."""
    sent = Sent(2)
    sent.budget.ask("a", 60)
    sent.take()
    sent.budget.give_back("a", 10)

    assert sent.take() == [("grow", "a", 10)]


def test_the_share_of_a_process_that_ended_is_lent_to_others() -> None:
    sent = Sent(2)
    sent.budget.ask("b", 75)
    sent.budget.ask("a", 100)
    sent.take()
    sent.budget.leave("b")

    assert sent.take() == [("grow", "a", 75)]
    assert sent.budget.join("c") == 0
    sent.budget.ask("a", 0)
    assert sent.take() == [("limit", "a", 75)], "the new process gets its minimum"


def test_a_floor_of_zero_leaves_nothing_to_processes_that_use_nothing() -> None:
    sent = Sent(2, floor=0)
    sent.budget.ask("a", 75)
    sent.budget.ask("a", 80)

    assert sent.take()[-1] == ("limit", "b", 20)


class Processes:
    """A budget and the resources of several processes; messages wait in `wires` until they are delivered.

    kind  "memory" or "spool"
    """

    def __init__(self, count: int, total: int, kind: str = "memory") -> None:
        disk = default_spool_dir()
        self.total, self.kind = total, kind
        budget: dict[str, Any] = {f"{kind}_budget": total}
        self.resources = [Resources(spool_dir=disk, **budget) for _ in range(count)]
        self.wires: dict[tuple[str, int], deque[Callable[[], None]]] = {
            (end, number): deque() for end in ("down", "up") for number in range(count)
        }
        self.moving = 0  # bytes on their way
        minimum = total // (2 * count)
        self.budget = SharedBudget(total, minimum, minimum if kind == "memory" else 0, self._grow, self._limit)
        self.shares = [self._shares(number) for number in range(count)]

    def _grow(self, process: Hashable, count: int) -> None:
        assert isinstance(process, int)
        self.moving += count

        def arrive() -> None:
            self.moving -= count
            self.shares[process].grow(self.kind, count)

        self.wires["down", process].append(arrive)

    def _limit(self, process: Hashable, ceiling: int) -> None:
        assert isinstance(process, int)
        self.wires["down", process].append(lambda: self.shares[process].limit(self.kind, ceiling))

    def _shares(self, number: int) -> BudgetShares:
        up = self.wires["up", number]

        def give_back(kind: str, count: int) -> None:
            self.moving += count

            def arrive() -> None:
                self.moving -= count
                self.budget.give_back(number, count)

            up.append(arrive)

        shares = BudgetShares(
            self.resources[number],
            lambda kind, wanted: up.append(lambda: self.budget.ask(number, wanted)),
            give_back,
        )
        shares.begin(**({"memory": 0, "spool": 0} | {self.kind: self.budget.join(number)}))
        return shares

    def deliver(self, rng: random.Random) -> bool:
        """Deliver one message; return whether there was one."""
        waiting = [wire for wire in self.wires.values() if wire]
        if waiting:
            rng.choice(waiting).popleft()()
        return bool(waiting)

    def check(self) -> None:
        shares = [self.share_of(resources) for resources in self.resources]
        assert sum(shares) + self.budget.idle + self.moving == self.total
        for share, resources in zip(shares, self.resources, strict=True):
            assert 0 <= (resources.reserved_bytes if self.kind == "memory" else resources.spooled_bytes) <= share

    def share_of(self, resources: Resources) -> int:
        return (resources.memory_budget if self.kind == "memory" else resources.spool_budget) or 0


@pytest.mark.parametrize("kind", ["memory", "spool"])
@pytest.mark.parametrize("seed", range(10))
def test_shares_never_exceed_the_budget_however_messages_cross(
    seed: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SHARE_SECONDS", 0)
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 0)
    monkeypatch.setattr(spool_budget, "FIRST_WAIT_SECONDS", 0)
    rng = random.Random(seed)
    processes = Processes(rng.choice((2, 3, 5)), 1000, kind)
    open_: list[Reservation] = []

    def hold(reservation: Reservation, count: int) -> None:
        (reservation.hold if kind == "memory" else reservation.charge)(count)

    def close(reservation: Reservation) -> None:
        reservation.charge(-reservation.spools.bytes)
        reservation.close()

    busy = 0
    for _ in range(2000):
        match rng.randrange(4):
            case 0:
                reservation = rng.choice(processes.resources).reservation()
                try:
                    hold(reservation, rng.choice((1, 10, 50, 300)))
                    open_.append(reservation)
                except BusyError:
                    busy += 1
            case 1 if open_:
                close(open_.pop(rng.randrange(len(open_))))
            case _:
                processes.deliver(rng)
        processes.check()
    for reservation in open_:
        close(reservation)
    while processes.deliver(rng):
        processes.check()
    assert busy > 20
    minimum = processes.total // (2 * len(processes.resources))
    assert all(processes.share_of(resources) >= minimum for resources in processes.resources)


@pytest.fixture
def delivered(request: pytest.FixtureRequest) -> Iterator[Processes]:
    """Return two processes whose messages are delivered by a thread as they are sent."""
    processes = Processes(2, 100, getattr(request, "param", "memory"))
    ended = threading.Event()
    rng = random.Random(1)

    def run() -> None:
        while not ended.is_set():
            if not processes.deliver(rng):
                time.sleep(0.001)

    thread = threading.Thread(target=run)
    thread.start()
    yield processes
    ended.set()
    thread.join()


def extended(resources: Resources, count: int) -> Reservation:
    reservation = resources.reservation()
    reservation.extend(count)
    return reservation


def test_a_request_that_needs_the_whole_budget_is_admitted_while_others_are_idle(delivered: Processes) -> None:
    first, second = delivered.resources
    extended(first, 100).close()
    extended(second, 100).close()
    with pytest.raises(LimitError, match="whole memory budget of 100"):
        extended(second, 101)
    assert eventually(lambda: (first.memory_budget, second.memory_budget) == (25, 75))


def test_a_request_waits_for_what_another_process_uses(delivered: Processes) -> None:
    first, second = delivered.resources
    held = extended(first, 60)
    admitted: list[Reservation] = []
    thread = threading.Thread(target=lambda: admitted.append(extended(second, 90)))
    thread.start()
    time.sleep(0.05)
    assert not admitted
    held.close()
    thread.join(5)

    assert [reservation.bytes for reservation in admitted] == [90]


def test_memory_that_others_use_makes_a_request_busy(delivered: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SHARE_SECONDS", 0.1)
    first, second = delivered.resources
    with extended(first, 70):
        with second.reservation() as reservation:
            reservation.hold(30)
            with pytest.raises(BusyError):
                reservation.hold(1)
    reservation = second.reservation()
    reservation.hold(60)  # at once
    reservation.close()


def test_waiting_requests_of_two_processes_all_end(delivered: Processes) -> None:
    done: list[int] = []

    def ask(resources: Resources, count: int) -> None:
        for _ in range(20):
            with extended(resources, count):
                time.sleep(0.0005)
        done.append(count)

    counts = (20, 30, 45, 60, 95)
    threads = [threading.Thread(target=ask, args=(r, n)) for r in delivered.resources for n in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(done) == sorted(counts * 2)
    assert [resources.reserved_bytes for resources in delivered.resources] == [0, 0]


def test_spools_have_shares_too() -> None:
    disk = default_spool_dir()
    resources = Resources(spool_dir=disk, spool_budget=100)
    asked: list[int] = []

    def ask(kind: str, wanted: int) -> None:
        assert kind == "spool"
        asked.append(wanted)
        if wanted:
            threading.Timer(0.02, shares.grow, ("spool", wanted - 25)).start()

    shares = BudgetShares(resources, ask, lambda kind, count: None)
    shares.begin(0, 25)
    resources.charge(20)
    resources.charge(40)
    assert asked == [60, 0] and resources.spooled_bytes == resources.spool_budget == 60


@pytest.mark.parametrize("delivered", ["spool"], indirect=True)
def test_a_spool_waits_for_what_another_process_uses(delivered: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = delivered.resources
    used, written = first.spool(), second.spool()
    used.write(bytes(90))
    with pytest.raises(LimitError, match="whole spool budget of 100"):
        second.charge(101)
    thread = threading.Thread(target=written.write, args=(bytes(80),))
    thread.start()
    time.sleep(0.05)
    assert thread.is_alive()
    used.close()
    thread.join(5)

    assert second.spooled_bytes == 80
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 0.1)
    with pytest.raises(BusyError):
        first.charge(30)
    written.close()


def test_memory_that_is_lent_to_spools_moves_to_a_process_that_needs_it(
    delivered: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "SPOOL_MEMORY_BYTES", 10)
    monkeypatch.setattr(spool, "LENT_BYTES", 50)
    first, second = delivered.resources
    extended(first, 100).close()
    written = first.spool()
    written.write(bytes(60))
    assert first.reserved_bytes == 50
    extended(second, 100).close()

    assert first.reserved_bytes == 0
    assert b"".join(written.chunks()) == bytes(60)
    written.close()
