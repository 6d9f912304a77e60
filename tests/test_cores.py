"""The scheduler of cores, and helpers on idle ones."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from compressor import cores
from compressor.cores import CoreScheduler, Demand
from compressor.jpeg.ahead import WorkAhead, _helper_threads

PATIENCE = 20.0  # seconds; other programs may have all cores for a while


class Task:
    """A task without work."""

    done = False
    error: BaseException | None = None

    def work(self, workspace: object) -> None:
        pass


class Working:
    """A thread that acquires a core, and releases it on `shut_down`."""

    def __init__(self, cores: CoreScheduler, demand: Demand | None = None) -> None:
        self.has, self._end = threading.Event(), threading.Event()
        self._cores, self._demand = cores, demand
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        self._cores.acquire(self._demand)
        self.has.set()
        self._end.wait(PATIENCE)
        self._cores.release()

    def shut_down(self) -> None:
        self._end.set()
        self._thread.join(PATIENCE)


def waiting(cores: CoreScheduler) -> int:
    """Return how many threads wait for a core."""
    return len(cores._waiting)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def queued(cores: CoreScheduler, count: int) -> list[Working]:
    """Start threads that wait, in this order."""
    found = []
    for _ in range(count):
        before = waiting(cores)
        found.append(Working(cores))
        until(lambda count=before + 1: waiting(cores) == count)  # type: ignore[misc]
    return found


def test_a_limit_is_the_number_of_cores_that_are_granted_from_then_on() -> None:
    cores = CoreScheduler(8)
    cores.limit(1)
    first = Working(cores)
    assert first.has.wait(PATIENCE) and (cores.count, cores.idle) == (1, 0) and not cores.try_acquire_idle()
    first.shut_down()
    assert cores.try_acquire_idle()


def test_after_shutdown_only_the_thread_that_called_it_is_granted_cores() -> None:
    cores = CoreScheduler(2)
    first = Working(cores)
    assert first.has.wait(PATIENCE)
    ended = threading.Event()

    def end() -> None:
        cores.shut_down()
        ended.set()
        cores.acquire()
        cores.release()

    ending = threading.Thread(target=end, daemon=True)
    ending.start()
    until(cores.contended)
    late = Working(cores)
    until(lambda: waiting(cores) == 1)
    assert not ended.is_set()  # the first thread is still working
    first.shut_down()
    ending.join(PATIENCE)
    assert ended.is_set() and not ending.is_alive()
    assert not late.has.wait(0.05) and not cores.try_acquire_idle()


def test_shutdown_does_not_wait_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.cores.END_SECONDS", 0.05)
    cores = CoreScheduler(1)
    stuck = Working(cores)
    assert stuck.has.wait(PATIENCE)
    cores.shut_down()
    with cores.acquired():  # the thread that shut it down is still granted a core
        pass
    stuck.shut_down()


WORKING_AT_EXIT = """
import atexit, threading, time
inside = []
def check():  # registered first, so it runs last, just before the interpreter is finalized
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        if inside:
            print("a thread works while the interpreter ends")
            break
        time.sleep(0.0001)
atexit.register(check)
from compressor.cores import cores
def work():
    while True:
        with cores.acquired():
            for _ in range(5):
                inside.append(1)
                time.sleep(0.004)  # as in a kernel: without the GIL
                inside.pop()
                cores.yield_if_contended()
for _ in range(2 * cores.count):
    threading.Thread(target=work, daemon=True).start()
while not inside:
    time.sleep(0.001)
"""


def test_no_thread_works_while_the_interpreter_ends() -> None:
    for _ in range(5):
        ran = subprocess.run([sys.executable, "-c", WORKING_AT_EXIT], capture_output=True, text=True, timeout=60)
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
def test_exits_during_work_succeed(exits: int) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXITS, str(exits)], capture_output=True, text=True, timeout=900
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_each_core_is_granted_once_and_then_first_come_first_served() -> None:
    cores = CoreScheduler(2)
    first, second = Working(cores), Working(cores)
    assert first.has.wait(PATIENCE) and second.has.wait(PATIENCE)
    third, fourth = queued(cores, 2)

    second.shut_down()

    assert third.has.wait(PATIENCE) and not fourth.has.is_set()
    first.shut_down()
    assert fourth.has.wait(PATIENCE)
    third.shut_down()
    fourth.shut_down()
    assert cores.idle == 2


def test_threads_are_served_in_order_of_arrival() -> None:
    cores = CoreScheduler(1)
    with cores.acquired():
        found = queued(cores, 4)
    for number, one in enumerate(found):
        assert one.has.wait(PATIENCE)
        assert not any(later.has.is_set() for later in found[number + 1 :])
        one.shut_down()
    assert cores.idle == 1


def test_a_core_is_acquired_once_and_released_once() -> None:
    cores = CoreScheduler(2)
    cores.acquire()
    cores.acquire()
    assert cores.idle == 1
    cores.release()
    cores.release()
    assert cores.idle == 2


def test_a_thread_yields_its_core_after_a_time_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = CoreScheduler(1)
    cores.acquire()
    (other,) = queued(cores, 1)
    monkeypatch.setattr("compressor.cores.SLICE_SECONDS", 3600)
    cores.yield_if_contended()
    assert not other.has.is_set()

    monkeypatch.setattr("compressor.cores.SLICE_SECONDS", 0)
    threading.Timer(0.05, other.shut_down).start()
    cores.yield_if_contended()

    assert other.has.is_set()
    assert cores.idle == 0
    cores.release()
    assert cores.idle == 1


def test_a_thread_without_a_core_yields_and_releases_nothing() -> None:
    cores = CoreScheduler(1)
    cores.yield_if_contended()
    cores.release()
    assert cores.idle == 1


def test_an_interrupt_while_waiting_leaks_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt arrives before the core is granted, and just after."""

    class Interrupted:
        def __init__(self, then: Callable[[], None]) -> None:
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
            cores.acquire()
        monkeypatch.setattr(threading, "Lock", real)
        assert waiting(cores) == 0
    assert cores.idle == 1
    with cores.acquired():
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


def test_all_cores_are_free_in_a_forked_child() -> None:
    """The fork is in a process of its own: Python 3.12 and later warn about forks in a process with threads."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=60)


def test_closing_waits_for_helpers_and_drops_tasks_that_nobody_has_begun() -> None:
    started = threading.Event()
    worked: list[Task] = []

    class Slow(Task):
        def work(self, workspace: object) -> None:
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


def test_an_error_in_a_helper_is_raised_by_finish() -> None:
    class Bad(Task):
        def work(self, workspace: object) -> None:
            raise IndexError

    bad, cores = Bad(), CoreScheduler(2)
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead:
        ahead.add(bad)
        with pytest.raises(IndexError):
            ahead.finish(bad)
    assert cores.idle == 2


def test_no_helper_works_while_somebody_waits_for_a_core() -> None:
    cores = CoreScheduler(2)
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead, cores.acquired():

        def possible() -> bool:
            return ahead.possible

        assert possible()
        other = Working(cores)
        assert other.has.wait(PATIENCE)
        assert not possible()
        (third,) = queued(cores, 1)
        other.shut_down()
        assert third.has.wait(PATIENCE) and not possible()
        third.shut_down()
        assert possible()


def test_the_cpu_seconds_of_helpers_are_reported() -> None:
    seconds: list[float] = []

    class Busy(Task):
        def work(self, workspace: object) -> None:
            end = time.thread_time() + 0.01
            while time.thread_time() < end:
                pass

    with WorkAhead(object, 1, seconds.append, CoreScheduler(2)) as ahead:
        ahead.add(Busy())
        while not seconds and not ahead._seconds:
            time.sleep(0.001)
    assert 0.01 <= sum(seconds) < 1


def test_a_process_has_no_more_helper_threads_than_cores() -> None:
    assert _helper_threads() is _helper_threads()
    assert _helper_threads()._max_workers == cores.cores.count


def test_a_helper_without_an_idle_core_leaves_the_task_to_the_caller() -> None:
    """Otherwise two callers with a core could each wait for a helper that waits for a core."""
    done: list[str] = []

    class Named(Task):
        def work(self, workspace: object) -> None:
            done.append(threading.current_thread().name)

    cores, task = CoreScheduler(2), Named()
    with WorkAhead(object, 1, lambda seconds: None, cores) as ahead, cores.acquired():
        other = Working(cores)
        assert other.has.wait(PATIENCE)
        ahead._running.append(_helper_threads().submit(ahead._help, object()))
        ahead.add(task)
        until(lambda: not ahead._helping())
        ahead.finish(task)
        other.shut_down()

    assert done == [threading.current_thread().name] and task.done
    assert cores.idle == 2
