"""Turns on the cores, and helpers on those that are idle."""

import subprocess
import sys
import threading
import time

import pytest

from compressor import cores
from compressor.cores import CoreScheduler
from compressor.jpeg.ahead import WorkAhead, _helper_threads

PATIENCE = 20.0  # seconds; other programs may have all cores for a while


class Working:
    """A thread that takes a turn, and gives it back when told."""

    def __init__(self, cores: CoreScheduler, brief: bool = False) -> None:
        self.has, self._end = threading.Event(), threading.Event()
        self._cores, self._brief = cores, brief
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._cores.acquired(self._brief):
            self.has.set()
            self._end.wait(PATIENCE)

    def shut_down(self) -> None:
        self._end.set()
        self._thread.join(PATIENCE)


def waiting(cores: CoreScheduler) -> int:
    return sum(map(len, cores._waiting.values()))


def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def queued(cores: CoreScheduler, *kinds: bool) -> list[Working]:
    """Threads that wait, in this order."""
    found = []
    for brief in kinds:
        before = waiting(cores)
        found.append(Working(cores, brief))
        until(lambda before=before: waiting(cores) == before + 1)
    return found


def test_a_limit_is_how_many_have_a_turn_from_then_on() -> None:
    cores = CoreScheduler(8)
    cores.limit(1)
    first = Working(cores)
    assert first.has.wait(PATIENCE) and (cores.count, cores.idle) == (1, 0) and not cores.try_acquire_idle()
    first.shut_down()
    assert cores.try_acquire_idle()


def test_after_the_end_only_the_thread_that_ended_it_has_turns() -> None:
    cores = CoreScheduler(2)
    first = Working(cores)
    assert first.has.wait(PATIENCE)
    ended = threading.Event()
    ending = threading.Thread(
        target=lambda: (cores.shut_down(), ended.set(), cores.acquire(), cores.release()), daemon=True
    )
    ending.start()
    until(cores.contended)
    late = Working(cores)
    until(lambda: waiting(cores) == 1)
    assert not ended.is_set()  # the first one is not done yet
    first.shut_down()
    ending.join(PATIENCE)
    assert ended.is_set() and not ending.is_alive()
    assert not late.has.wait(0.05) and not cores.try_acquire_idle()


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.cores.END_SECONDS", 0.05)
    cores = CoreScheduler(1)
    stuck = Working(cores)
    assert stuck.has.wait(PATIENCE)
    cores.shut_down()
    with cores.acquired():  # and who ends gets turns nevertheless
        pass
    stuck.shut_down()


UNDER_WAY = """
import atexit, threading, time
inside = []
def look():  # is registered first, so it runs last, just before the interpreter is taken apart
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        if inside:
            print("a thread works while the interpreter ends")
            break
        time.sleep(0.0001)
atexit.register(look)
from compressor.cores import cores
def work():
    while True:
        with cores.acquired():
            for _ in range(5):
                inside.append(1)
                time.sleep(0.004)  # as a kernel does: without the lock of the interpreter
                inside.pop()
                cores.yield_if_contended()
for _ in range(2 * cores.count):
    threading.Thread(target=work, daemon=True).start()
while not inside:
    time.sleep(0.001)
"""


def test_no_thread_works_while_the_interpreter_ends() -> None:
    for _ in range(5):
        ran = subprocess.run([sys.executable, "-c", UNDER_WAY], capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


EXITS = """
import io, os, random, sys, threading, time
import numpy as np
from PIL import Image
import compressor
def file_of(kind, height, width):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)).save(file, kind)
    return file.getvalue()
wide, png, small = file_of("JPEG", 256, 2400), file_of("PNG", 200, 300), file_of("JPEG", 96, 96)
sources = [(wide, "fast"), (png, "balanced"), (small, "best")]
for source, effort in sources:
    compressor.compress(source, quality=60, effort=effort, format="jpeg")
def work(source, effort):
    while True:
        compressor.compress(source, quality=60, effort=effort, format="jpeg")
def attempt(seed):
    for source in sources * 2:
        threading.Thread(target=work, args=source, daemon=True).start()
    time.sleep(random.Random(seed).random() / 4)
    sys.exit(0)
for seed in range(int(sys.argv[1])):
    if not (child := os.fork()):
        attempt(seed)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        print(f"exit {seed} ended with {status}")
"""


@pytest.mark.parametrize("exits", [8, pytest.param(200, marks=pytest.mark.heavy)])
def test_many_exits_under_work_end_well(exits: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXITS, str(exits)], capture_output=True, text=True, timeout=900
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_as_many_have_a_turn_as_there_are_cores_and_the_others_in_order() -> None:
    cores = CoreScheduler(2)
    first, second = Working(cores), Working(cores)
    assert first.has.wait(PATIENCE) and second.has.wait(PATIENCE)
    third, fourth = queued(cores, False, False)

    second.shut_down()

    assert third.has.wait(PATIENCE) and not fourth.has.is_set()
    first.shut_down()
    assert fourth.has.wait(PATIENCE)
    third.shut_down(), fourth.shut_down()
    assert cores.idle == 2


def test_of_brief_turns_there_is_one_and_the_other_cores_are_free_for_others() -> None:
    cores = CoreScheduler(3)
    first = Working(cores, brief=True)
    assert first.has.wait(PATIENCE)
    second, third = queued(cores, True, True)
    assert cores.idle == 2
    other = Working(cores)
    assert other.has.wait(PATIENCE)

    first.shut_down()
    assert second.has.wait(PATIENCE) and not third.has.is_set()
    other.shut_down()
    assert not third.has.is_set()
    second.shut_down()
    assert third.has.wait(PATIENCE)
    third.shut_down()
    assert cores.idle == 3


def test_those_that_came_first_are_first_whatever_they_want() -> None:
    cores = CoreScheduler(1)
    with cores.acquired():
        found = queued(cores, True, False, True, False)
    for number, one in enumerate(found):
        assert one.has.wait(PATIENCE)
        assert not any(later.has.is_set() for later in found[number + 1 :])
        one.shut_down()
    assert cores.idle == 1


def test_a_turn_is_taken_once_and_given_once() -> None:
    cores = CoreScheduler(2)
    cores.acquire()
    cores.acquire(brief=True)
    assert cores.idle == 1
    cores.release()
    cores.release()
    assert cores.idle == 2


def test_who_has_worked_for_a_while_lets_others(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = CoreScheduler(1)
    cores.acquire(brief=True)
    (other,) = queued(cores, False)
    monkeypatch.setattr("compressor.cores.TURN_SECONDS", 3600)
    cores.yield_if_contended()
    assert not other.has.is_set()

    monkeypatch.setattr("compressor.cores.TURN_SECONDS", 0)
    threading.Timer(0.05, other.shut_down).start()
    cores.yield_if_contended()

    assert other.has.is_set()
    assert cores.idle == 0
    cores.release()
    assert cores.idle == 1


def test_who_has_a_turn_of_another_kind_than_is_wanted_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.cores.TURN_SECONDS", 0)
    cores = CoreScheduler(2)
    first = Working(cores, brief=True)
    assert first.has.wait(PATIENCE)
    (second,) = queued(cores, True)
    cores.acquire()
    assert not cores.contended() and cores.contended(brief=True)
    cores.yield_if_contended()
    assert not second.has.is_set()
    first.shut_down()
    second.shut_down()
    cores.release()
    assert cores.idle == 2


def test_who_has_no_turn_passes_nothing_on() -> None:
    cores = CoreScheduler(1)
    cores.yield_if_contended()
    cores.release()
    assert cores.idle == 1


def test_an_interrupt_while_waiting_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the turn is granted, and just when it has been."""

    class Interrupted:
        def __init__(self, then) -> None:
            self._then, self._first = then, True

        def acquire(self) -> None:
            if self._first:
                self._first = False
                return
            self._then()
            raise KeyboardInterrupt

        def release(self) -> None:
            pass

    cores = CoreScheduler(1)
    first = Working(cores)
    assert first.has.wait(PATIENCE)
    real = threading.Lock
    for then in (lambda: None, first.shut_down):
        monkeypatch.setattr(threading, "Lock", lambda then=then: Interrupted(then))
        with pytest.raises(KeyboardInterrupt):
            cores.acquire(brief=True)
        monkeypatch.setattr(threading, "Lock", real)
        assert waiting(cores) == 0
    assert cores.idle == 1
    with cores.acquired(brief=True):
        assert cores.idle == 0


FORKS = """
import os, threading
from compressor.cores import cores

def work():
    with cores.acquired():
        has.set()
        threading.Event().wait()

has = threading.Event()
threading.Thread(target=work, daemon=True).start()
has.wait()
child = os.fork()
if child == 0:
    os._exit(0 if all([cores.try_acquire_idle() for _ in range(cores.count)]) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert cores.idle == cores.count - 1
"""


def test_a_child_that_forks_has_all_turns() -> None:
    """In a process of its own: from Python 3.12 on it is warned of forks beside threads."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=60)


def test_closing_waits_for_helpers_and_drops_what_nobody_has_begun() -> None:
    started, worked = threading.Event(), []

    class Slow:
        done, error = False, None

        def work(self, tools: object) -> None:
            started.set()
            time.sleep(0.02)
            worked.append(self)

    with WorkAhead(object, 1, lambda seconds: None, CoreScheduler(2)) as ahead:
        for _ in range(5):
            ahead.add(Slow())
        assert started.wait(5)
    assert len(worked) == 1
    time.sleep(0.03)
    assert len(worked) == 1


def test_what_helpers_raise_comes_out_where_the_job_is_due() -> None:
    class Bad:
        done, error = False, None

        def work(self, tools: object) -> None:
            raise IndexError

    bad, cores = Bad(), CoreScheduler(2)
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead:
        ahead.add(bad)
        with pytest.raises(IndexError):
            ahead.finish(bad)
    assert cores.idle == 2


def test_nobody_helps_where_somebody_waits_for_a_core() -> None:
    cores = CoreScheduler(2)
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead, cores.acquired():
        assert ahead.possible
        other = Working(cores)
        assert other.has.wait(PATIENCE)
        assert not ahead.possible
        (third,) = queued(cores, False)
        other.shut_down()
        assert third.has.wait(PATIENCE) and not ahead.possible
        third.shut_down()
        assert ahead.possible


def test_what_helpers_take_is_counted() -> None:
    seconds: list[float] = []

    class Busy:
        done, error = False, None

        def work(self, tools: object) -> None:
            until = time.thread_time() + 0.01
            while time.thread_time() < until:
                pass

    with WorkAhead(object, 1, seconds.append, CoreScheduler(2)) as ahead:
        ahead.add(Busy())
        while not seconds and not ahead._seconds:
            time.sleep(0.001)
    assert 0.01 <= sum(seconds) < 1


def test_the_threads_of_a_process_are_no_more_than_its_cores() -> None:
    assert _helper_threads() is _helper_threads()
    assert _helper_threads()._max_workers == cores.cores.count


def test_a_helper_that_finds_no_turn_leaves_the_job_to_the_caller() -> None:
    """Or each of two callers with a turn would wait for a helper that waits for a turn."""
    done = []

    class Job:
        done, error = False, None

        def work(self, tools: object) -> None:
            done.append(threading.current_thread().name)

    cores, job = CoreScheduler(2), Job()
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead, cores.acquired():
        other = Working(cores)
        assert other.has.wait(PATIENCE)
        ahead._running.append(_helper_threads().submit(ahead._help, object()))
        ahead.add(job)
        until(lambda: not ahead._helping())
        ahead.finish(job)
        other.shut_down()

    assert done == [threading.current_thread().name] and job.done
    assert cores.idle == 2
