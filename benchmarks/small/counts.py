"""Work of a call other than that of the kernels, in numbers that do not depend on the machine's load."""

import functools
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TEMPORARY = os.O_CREAT | (getattr(os, "O_TMPFILE", 0) & ~os.O_DIRECTORY)


@dataclass
class Counts:
    """Numbers of one call.

    files         created by os.open, as `tempfile` does it
    python_calls  of functions written in Python or C, in the calling thread and in those that it starts
    kernel_calls  of these, calls of compiled kernels; 0 if Numba compiles them, since it hides its calls from a profile
    """

    files: int = 0
    python_calls: int = 0
    kernel_calls: int = 0

    def _on_audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count an "open" of os.open, which has no mode, unlike that of io.open."""
        if event == "open" and arguments[1] is None and arguments[2] & TEMPORARY:
            self.files += 1

    def _on_profile(self, _: Any, event: str, function: Any) -> None:
        if event in ("call", "c_call"):
            self.python_calls += 1
        if event == "c_call" and (function.__module__ or "").startswith("compressor.kernels"):
            self.kernel_calls += 1


_counting: list[Counts] = []


@functools.cache
def _install() -> None:
    """Install the audit hook. It stays in the process: it can't be removed."""

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        for counts in _counting:
            counts._on_audit(event, arguments)

    sys.addaudithook(audit)


def count(call: Callable[[], object]) -> Counts:
    """Call a function once, untimed, and count."""
    _install()
    counts, previous = Counts(), sys.getprofile()
    _counting.append(counts)
    threading.setprofile(counts._on_profile)
    sys.setprofile(counts._on_profile)
    try:
        call()
    finally:
        sys.setprofile(previous)
        threading.setprofile(None)
        _counting.remove(counts)
    return counts
