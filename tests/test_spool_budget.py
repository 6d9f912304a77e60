"""The spool budget: what never fits, what does not fit now, and who gets what becomes free."""

import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from compressor import spool_budget
from compressor.errors import BusyError, DeadlineError, LimitError
from compressor.memory import Reservation, Resources
from compressor.spool_directory import default_spool_dir


@pytest.fixture
def disk() -> str:
    return default_spool_dir()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 0.05)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a wait take longer than the test may."""
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 60.0)
    monkeypatch.setattr(spool_budget, "FIRST_WAIT_SECONDS", 60.0)


@contextlib.contextmanager
def raises_soon(error: type[Exception], match: str | None = None) -> Iterator[None]:
    """Expect an error long before the wait of `patient` is over."""
    started = time.monotonic()
    with pytest.raises(error, match=match):
        yield
    assert time.monotonic() - started < 10


@pytest.mark.usefixtures("patient")
def test_spools_of_one_request_that_exceed_the_whole_budget_together_never_fit(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as reservation:
        first, second = (reservation.spool(lambda: None) for _ in range(2))
        first.write(bytes(600))
        with raises_soon(LimitError, "needs 1001 bytes of temporary data, more than the whole spool budget of 1000"):
            second.write(bytes(401))
        first.close()
        second.close()
        assert resources.spooled_bytes == reservation.spools.bytes == 0


@pytest.mark.usefixtures("hurried")
def test_a_spool_budget_that_others_use_is_busy_and_the_same_spool_fits_afterwards(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as one, resources.reservation() as other:
        used = one.spool(lambda: None)
        used.write(bytes(600))
        with pytest.raises(BusyError, match="in use") as busy:
            other.spool(lambda: None).write(bytes(600))
        assert busy.value.retry_after_seconds > 0
        assert (one.spools.bytes, other.spools.bytes, resources.spooled_bytes) == (600, 0, 600)
        used.close()
        again = other.spool(lambda: None)
        again.write(bytes(600))
        again.close()


@pytest.mark.usefixtures("patient")
def test_a_spool_waits_for_others_to_be_closed_and_holds_no_core_meanwhile(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as one, resources.reservation() as other:
        used, waiting = one.spool(lambda: None), other.spool(lambda: None)
        used.write(bytes(600))
        events: list[str] = []

        @contextlib.contextmanager
        def paused() -> Iterator[None]:
            events.append("paused")
            threading.Timer(0.05, used.close).start()
            yield
            events.append(f"resumed with {resources.spooled_bytes}")

        other.spools.paused = paused
        waiting.write(bytes(600))
        assert events == ["paused", "resumed with 600"]
        waiting.close()
        assert resources.spooled_bytes == other.spools.bytes == 0


def test_bytes_that_were_waited_for_in_vain_are_given_back(disk: str) -> None:
    """The deadline of a call may pass while it waits for a core after it has waited for its spool."""
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as one, resources.reservation() as other:
        used, waiting = one.spool(lambda: None), other.spool(lambda: None)
        used.write(bytes(600))

        @contextlib.contextmanager
        def paused() -> Iterator[None]:
            used.close()
            yield
            raise DeadlineError("too late")

        other.spools.paused = paused
        with pytest.raises(DeadlineError):
            waiting.write(bytes(600))
        assert (resources.spooled_bytes, other.spools.bytes, waiting.size) == (0, 0, 0)
        waiting.close()


@pytest.mark.usefixtures("patient")
def test_a_wait_ends_when_the_request_is_canceled(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_budget, "PATIENCE_SECONDS", 0.01)
    resources = Resources(spool_dir=disk, spool_budget=1000)
    answers = iter([True])

    def still_wanted() -> None:
        if not next(answers, False):
            raise InterruptedError

    with resources.reservation() as one, resources.reservation() as other:
        used, waiting = one.spool(lambda: None), other.spool(still_wanted)
        used.write(bytes(600))
        with raises_soon(InterruptedError):
            waiting.write(bytes(600))
        waiting.close()
        used.close()
        assert resources.spooled_bytes == resources.spools.missing == 0


@pytest.mark.usefixtures("hurried")
def test_the_first_request_waits_longest_and_gets_what_the_others_free(disk: str) -> None:
    """Each holds a part of the budget, and needs more than all have left."""
    resources = Resources(spool_dir=disk, spool_budget=1000)
    done: list[str] = []

    def spool(name: str, reservation: Reservation, barrier: threading.Barrier) -> None:
        one = reservation.spool(lambda: None)
        try:
            one.write(bytes(330))
            barrier.wait()
            one.write(bytes(500))
            done.append(name)
        except BusyError:
            done.append(f"{name} is busy")
        finally:
            one.close()

    barrier = threading.Barrier(3)
    reservations = [resources.reservation() for _ in range(3)]
    names = ("first", "second", "third")
    threads = [threading.Thread(target=spool, args=(*each, barrier)) for each in zip(names, reservations, strict=True)]
    for thread in threads:
        thread.start()
        while resources.spooled_bytes < 330 * (threads.index(thread) + 1):
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert sorted(done[:2]) == ["second is busy", "third is busy"] and done[2:] == ["first"]
    assert resources.spooled_bytes == resources.spools.missing == 0


@pytest.mark.usefixtures("hurried")
def test_what_becomes_free_is_kept_for_the_first(disk: str) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as one, resources.reservation() as other, resources.reservation() as late:
        first, second, third = one.spool(lambda: None), other.spool(lambda: None), other.spool(lambda: None)
        first.write(bytes(400))
        second.write(bytes(300))
        third.write(bytes(300))
        thread = threading.Thread(target=first.write, args=(bytes(600),))
        thread.start()
        while not resources.spools.missing:
            time.sleep(0.001)
        second.close()
        rejected = late.spool(lambda: None)
        with pytest.raises(BusyError):
            rejected.write(bytes(200))
        third.close()
        thread.join()
        assert first.size == resources.spooled_bytes == 1000
        first.close()
        accepted = late.spool(lambda: None)
        accepted.write(bytes(200))  # nothing is kept any more
        accepted.close()
    assert resources.spooled_bytes == 0


@pytest.mark.usefixtures("hurried")
def test_the_first_request_does_not_wait_for_ever(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_budget, "FIRST_WAIT_SECONDS", 0.2)
    resources = Resources(spool_dir=disk, spool_budget=1000)
    with resources.reservation() as one, resources.reservation() as other:
        first, second = one.spool(lambda: None), other.spool(lambda: None)
        first.write(bytes(500))
        second.write(bytes(400))
        started = time.monotonic()
        with pytest.raises(BusyError):
            first.write(bytes(200))
        assert time.monotonic() - started >= 0.2
        first.close()
        second.write(bytes(600))
        second.close()


def test_requests_that_all_need_more_than_is_left_end_one_after_the_other(
    disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight at once, that try again when they are busy, with a budget for two."""
    monkeypatch.setattr(spool_budget, "WAIT_SECONDS", 0.02)
    resources = Resources(spool_dir=disk, spool_budget=100_000)
    attempts: list[int] = []
    above = [0]

    def spool() -> bool:
        with resources.reservation() as reservation:
            one = reservation.spool(lambda: None)
            try:
                for _ in range(50):
                    one.write(bytes(1000))
                    time.sleep(0.0005)
                    above[0] += resources.spooled_bytes > 100_000
            except BusyError:
                return False
            finally:
                one.close()
        return True

    def repeat() -> None:
        attempts.append(1)
        while not spool():
            attempts[-1] += 1
            time.sleep(0.01)

    threads = [threading.Thread(target=repeat) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(attempts) == 8 and not above[0]
    assert resources.spooled_bytes == resources.spools.missing == 0
