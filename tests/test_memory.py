"""The byte budget: who is admitted, who waits, and who is rejected."""

import threading
import time
from collections.abc import Callable

import pytest

from compressor import memory
from compressor.errors import BusyError, LimitError
from compressor.memory import Reservation, Resources
from compressor.spool_directory import default_spool_dir


def reserve(resources: Resources, count: int, still_wanted: Callable[[], None] = lambda: None) -> Reservation:
    """Reserve memory as a request does."""
    reservation = resources.reservation()
    try:
        reservation.extend(count, still_wanted)
    except BaseException:
        reservation.close()
        raise
    return reservation


@pytest.fixture
def disk() -> str:
    return default_spool_dir()


def test_a_request_larger_than_the_budget_is_rejected_at_once(disk: str) -> None:
    with pytest.raises(LimitError, match="whole memory budget"):
        reserve(Resources(memory_budget=100, spool_dir=disk), 101)


def test_a_reservation_includes_the_overhead_and_is_released(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10)
    with reserve(resources, 50) as reservation:
        assert resources.reserved_bytes == reservation.bytes == 60
    reservation.close()
    assert resources.reserved_bytes == 0


def test_requests_that_do_not_fit_yet_are_admitted_in_order_of_arrival(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk)
    first = reserve(resources, 80)
    order: list[str] = []

    def ask(name: str, count: int) -> None:
        with reserve(resources, count):
            order.append(name)

    threads = [threading.Thread(target=ask, args=request) for request in (("large", 90), ("small", 10))]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    assert not order  # the small one fits, but does not overtake the large one
    first.close()
    for thread in threads:
        thread.join()
    assert order == ["large", "small"]


def test_a_wait_that_is_too_long_ends_in_busy_with_a_time_to_retry_after(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, wait_seconds=0.05)
    with reserve(resources, 80), pytest.raises(BusyError) as busy:
        reserve(resources, 30)
    assert busy.value.retry_after_seconds > 0
    reserve(resources, 100).close()


def test_a_full_queue_ends_in_busy_at_once(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, queue_limit=0, wait_seconds=60)
    with reserve(resources, 80), pytest.raises(BusyError):
        reserve(resources, 30)


def test_a_wait_ends_when_the_request_is_canceled(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PATIENCE_SECONDS", 0.01)
    resources = Resources(memory_budget=100, spool_dir=disk, wait_seconds=60)

    def canceled() -> None:
        raise InterruptedError

    with reserve(resources, 80), pytest.raises(InterruptedError):
        reserve(resources, 30, canceled)


def test_memory_held_before_admission_counts_in_addition_to_what_is_requested(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10)
    with resources.reservation() as reservation:
        reservation.hold(20)
        assert resources.reserved_bytes == 30
        reservation.extend(30)
        assert resources.reserved_bytes == reservation.bytes == 60
        other = resources.reservation()
        with pytest.raises(BusyError):
            reservation.hold(31)
        with pytest.raises(LimitError):
            reservation.hold(41)
        other.close()
        reservation.hold(40)
    assert resources.reserved_bytes == 0


def test_waiting_requests_never_hold_so_much_that_none_could_be_admitted(disk: str) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10, wait_seconds=60)
    admitted = reserve(resources, 30)
    waiting = threading.Thread(target=lambda: reserve(resources, 60).close())
    waiting.start()
    while not resources._queue:
        time.sleep(0.001)
    early = [resources.reservation() for _ in range(3)]  # 10 each; 30 + 10 + 60 leave nothing for a fourth
    with pytest.raises(BusyError):
        resources.reservation()
    with pytest.raises(BusyError, match="waiting requests"):
        early[0].extend(70)
    admitted.close()
    waiting.join(10)
    assert not waiting.is_alive()
    for reservation in early:
        reservation.close()
    assert resources.reserved_bytes == resources._early_bytes == 0


KIB = 1 << 10


def test_memory_lent_to_a_spool_counts_as_reserved(disk: str) -> None:
    resources = Resources(memory_budget=1000 * KIB, spool_dir=disk)
    with reserve(resources, 10 * KIB) as reservation:
        spool = reservation.spool(lambda: None)
        spool.write(bytes(300 * KIB))
        assert resources.reserved_bytes == reservation.held.bytes == (10 + 256) * KIB
        assert reservation.bytes == 10 * KIB
        time.sleep(0.01)
        assert reservation.held.byte_seconds() > 0.01 * 256 * KIB
        spool.close()
        assert resources.reserved_bytes == reservation.held.bytes == 10 * KIB
    assert resources.reserved_bytes == 0


def test_nothing_is_lent_to_a_request_that_may_not_borrow(disk: str) -> None:
    resources = Resources(spool_dir=disk)
    with reserve(resources, 10) as reservation:
        spool = reservation.spool(lambda: None)
        spool.write(bytes(200 * KIB))
        assert resources.reserved_bytes == 10 + 256 * KIB
        reservation.may_borrow = False
        spool.write(bytes(200 * KIB))
        assert resources.reserved_bytes == 10
        spool.close()


@pytest.mark.parametrize("way", ["extend", "hold"])
def test_lent_memory_delays_and_rejects_nobody(disk: str, way: str) -> None:
    resources = Resources(memory_budget=1000 * KIB, spool_dir=disk, wait_seconds=0)
    data = bytes(range(256)) * 1024
    spools = [resources.spool() for _ in range(4)]
    for spool in spools:
        spool.write(data)
    assert resources.reserved_bytes == 3 * 256 * KIB
    with resources.reservation() as reservation:
        getattr(reservation, way)(700 * KIB)
        assert resources.reserved_bytes == (700 + 256) * KIB
        getattr(reservation, way)(300 * KIB)
        assert resources.reserved_bytes == 1000 * KIB
        with pytest.raises(LimitError):
            getattr(reservation, way)(1)
    for spool in spools:
        assert b"".join(spool.chunks()) == data
        spool.close()
    assert resources.reserved_bytes == resources._lent_bytes == 0


def test_nothing_is_lent_while_a_request_waits(disk: str) -> None:
    resources = Resources(memory_budget=1000 * KIB, spool_dir=disk)
    first = reserve(resources, 500 * KIB)
    waiting = threading.Thread(target=lambda: reserve(resources, 600 * KIB).close())
    waiting.start()
    while not resources._queue:
        time.sleep(0.001)
    spool = resources.spool()
    spool.write(bytes(300 * KIB))
    assert resources.reserved_bytes == 500 * KIB
    first.close()
    waiting.join(10)
    spool.close()


def test_spools_of_many_threads_keep_their_bytes_while_memory_is_taken_back(disk: str) -> None:
    resources = Resources(memory_budget=2000 * KIB, spool_dir=disk)
    wrong: list[int] = []

    def spool_and_compare(number: int) -> None:
        data = bytes([number]) + bytes(range(256)) * 1200
        for _ in range(20):
            with reserve(resources, 100 * KIB) as reservation:
                spool = reservation.spool(lambda: None)
                for at in range(0, len(data), 50_000):
                    spool.write(data[at : at + 50_000])
                if b"".join(spool.chunks()) != data or resources.reserved_bytes > 2000 * KIB:
                    wrong.append(number)
                spool.close()

    threads = [threading.Thread(target=spool_and_compare, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert resources.reserved_bytes == resources._lent_bytes == resources.spooled_bytes == 0


class Counted:
    """An allowance of 100 bytes, which lets everything pass that no budget would."""

    def __init__(self) -> None:
        self.bytes = 0

    def reserve(self, size: int, held: int = 0) -> None:
        if size <= 1000 and self.bytes + size > 100:
            raise BusyError(f"{held} bytes are held", 1.0)
        self.bytes += size

    def release(self, size: int) -> None:
        self.bytes -= size


def test_a_reservation_counts_for_its_allowance_until_it_is_released(disk: str) -> None:
    resources, allowance = Resources(memory_budget=1000, spool_dir=disk, overhead=10), Counted()
    with resources.reservation() as reservation:
        reservation.count_for(allowance)
        reservation.hold(20)
        reservation.extend(60)
        assert allowance.bytes == reservation.bytes == 90
        with pytest.raises(BusyError, match="90 bytes"):
            reservation.hold(20)
        assert resources.reserved_bytes == 90
        reservation.shrink()
        assert allowance.bytes == resources.reserved_bytes == 10
        with pytest.raises(LimitError):
            reservation.extend(2000)
        assert allowance.bytes == 10
    assert allowance.bytes == resources.reserved_bytes == 0
