"""The threads that run calls."""

import threading
from collections.abc import Callable

from compressor.calls.threads import CallThreads
from compressor.cores import cores


def test_an_idle_thread_runs_the_next_call() -> None:
    threads = CallThreads(1)
    ran, done = list[int](), threading.Semaphore(0)

    def work(on_end: Callable[[], None]) -> None:
        ran.append(threading.get_ident())
        on_end()
        done.release()

    for _ in range(20):
        assert threads.run("compress", work)
        assert done.acquire(timeout=10)

    assert len(set(ran)) == 1


def test_there_are_no_more_threads_than_the_limit_and_few_are_kept() -> None:
    limit = cores.count + 3
    threads = CallThreads(limit)
    go, names, done = threading.Event(), list[str](), threading.Semaphore(0)

    def work(on_end: Callable[[], None]) -> None:
        names.append(threading.current_thread().name)
        go.wait(10)
        on_end()
        done.release()

    before = set(threading.enumerate())
    assert all(threads.run("compress", work) for _ in range(limit))
    started = set(threading.enumerate()) - before
    assert not threads.run("compress", work)
    go.set()
    assert all(done.acquire(timeout=10) for _ in range(limit))
    ended = [thread for thread in started if not thread.kept]  # type: ignore[attr-defined]
    for thread in ended:
        thread.join(10)

    assert names == ["compress"] * limit
    assert len(ended) == 3
    assert not any(thread.is_alive() for thread in ended)
    assert threads.run("compress", work)
