"""The order in which calls get cores, by what they are expected to take."""

import threading
import time

import pytest

from compressor.cores import CoreScheduler, Demand
from compressor.errors import DeadlineError
from tests.test_cores import PATIENCE, Working, until, waiting


def demanding(seconds: float, deadline: float | None = None) -> Demand:
    demand = Demand(deadline)
    demand.least_seconds = demand.expected_seconds = seconds
    return demand


def test_the_call_with_the_least_expected_cpu_time_gets_the_next_core() -> None:
    cores = CoreScheduler(1)
    first = Working(cores)
    assert first.has.wait(PATIENCE)
    poster, thumbnail, picture = (Working(cores, demand=demanding(seconds)) for seconds in (9.0, 0.1, 1.0))
    until(lambda: waiting(cores) == 3)
    for before, after in ((first, thumbnail), (thumbnail, picture), (picture, poster)):
        assert not after.has.is_set()
        before.shut_down()
        assert after.has.wait(PATIENCE)
    poster.shut_down()
    assert cores.idle == 1


def test_a_call_has_a_core_in_time_for_its_deadline() -> None:
    """Whatever came later and is cheaper: else posters would miss their deadlines whenever thumbnails keep coming."""
    now = time.monotonic()
    poster, thumbnail = demanding(1.0, deadline=now + 8), demanding(0.1)
    assert poster.rank == pytest.approx(now + 2, abs=0.5)
    assert thumbnail.rank == pytest.approx(now + 6.4, abs=0.5)
    assert demanding(0.01, deadline=now + 60).rank == pytest.approx(now + 0.64, abs=0.5), "small calls are not delayed"


def test_a_working_call_yields_only_to_a_cheaper_one() -> None:
    cores = CoreScheduler(1)
    demand = demanding(1.0)
    cores.acquire(demand=demand)
    poster = Working(cores, demand=demanding(9.0))
    until(lambda: waiting(cores) == 1)
    cores.yield_if_contended()
    assert not poster.has.is_set()
    thumbnail = Working(cores, demand=demanding(0.1))
    until(lambda: waiting(cores) == 2)
    threading.Timer(0.05, thumbnail.shut_down).start()
    cores.yield_if_contended()
    assert thumbnail.has.is_set() and not poster.has.is_set()

    demand.spent_seconds = 12.0  # more than was expected
    threading.Timer(0.05, poster.shut_down).start()
    cores.yield_if_contended()
    assert poster.has.is_set()
    cores.release()
    assert cores.idle == 1


def test_no_call_starves_however_many_cheaper_ones_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.cores.STRETCH", 10)
    cores, ended = CoreScheduler(1), threading.Event()

    def flood() -> None:
        while not ended.is_set():
            cores.acquire(demand=demanding(0.001))
            time.sleep(0.001)
            cores.release()

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: waiting(cores) == 2)
    start = time.monotonic()
    poster = Working(cores, demand=demanding(0.05))
    assert poster.has.wait(PATIENCE)
    assert time.monotonic() - start > 0.3, "it was not overtaken"
    poster.shut_down()
    ended.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert cores.idle == 1


def test_a_call_whose_deadline_cannot_be_met_ends_at_once_or_while_it_waits() -> None:
    cores = CoreScheduler(1)
    with pytest.raises(DeadlineError, match=r"at least 9 s of CPU time are needed"):
        cores.acquire(demand=demanding(9.0, time.monotonic() + 1))
    assert cores.idle == 1
    first = Working(cores)
    assert first.has.wait(PATIENCE)
    start = time.monotonic()
    with pytest.raises(DeadlineError):
        cores.acquire(demand=demanding(0.5, start + 0.6))
    assert 0.05 < time.monotonic() - start < 0.6
    first.shut_down()
    assert (waiting(cores), cores.idle) == (0, 1)
