"""Processes that are sent messages through a pipe: their answers, and their ends."""

import os
import time
from multiprocessing.connection import Connection

import pytest

from benchmarks.harness.piped_process import PipedProcess


def doubling(pipe: Connection, factor: int) -> None:
    """Answer numbers; 0 ends the process without an answer."""
    pipe.send(None)
    while (number := pipe.recv()) is not None:
        if number == 0:
            os._exit(1)
        pipe.send(factor * number)


def ending(pipe: Connection) -> None:
    os._exit(1)


def silent(pipe: Connection) -> None:
    pipe.recv()
    time.sleep(60)


def test_a_process_answers_until_it_is_told_to_end() -> None:
    with PipedProcess("doubling", doubling, 2) as process:
        process.send(3)
        assert process.receive() == 6

    assert process._process.exitcode == 0


def test_a_process_that_has_ended_answers_nothing() -> None:
    with PipedProcess("doubling", doubling, 2) as process:
        process.send(0)
        with pytest.raises(EOFError, match="^doubling: the process has ended$"):
            process.receive()
        with pytest.raises(EOFError, match="^doubling: the process has ended$"):
            process.send(1)
    assert process._process.exitcode == 1

    with pytest.raises(EOFError), PipedProcess("ending", ending):
        pass


def test_a_process_is_not_waited_for_after_an_error() -> None:
    begin = time.perf_counter()
    process = PipedProcess("silent", silent, start_seconds_max=0.01)
    with pytest.raises(TimeoutError, match=r"^silent: the process did not answer within 0.01 s$"), process:
        pass
    with pytest.raises(KeyError), PipedProcess("doubling", doubling, 2):
        raise KeyError

    assert process._process.exitcode not in (None, 0)
    assert time.perf_counter() - begin < 20
