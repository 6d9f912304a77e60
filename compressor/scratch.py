"""Arrays whose memory later images use again.

The C allocator maps large blocks afresh, and each 4 KiB of them costs a page fault: a millisecond for an image of 0.4
megapixels in the service, a quarter of its time.
"""

import math
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_BYTES = 1 << 16  # of an array that is not left to the C allocator
KEPT_BYTES = 1 << 22  # that the process keeps while no array uses them

Memory = NDArray[np.uint8]


class _Pool:
    """Memory that no array uses, at most KEPT_BYTES."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all memory."""
        self._lock = threading.RLock()  # collecting garbage may call `give` inside `take`
        self._free: list[Memory] = []
        self._bytes = 0

    def take(self, size: int) -> Memory:
        """Return memory of `size` bytes or up to twice that."""
        with self._lock:
            for index, memory in enumerate(self._free):
                if size <= memory.nbytes <= 2 * size:
                    self._bytes -= memory.nbytes
                    return self._free.pop(index)
        return np.empty(size, np.uint8)

    def give(self, memory: Memory) -> None:
        """Keep memory, if there is room."""
        with self._lock:
            if self._bytes + memory.nbytes <= KEPT_BYTES:
                self._bytes += memory.nbytes
                self._free.append(memory)


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.reset)


class _Borrowed:
    """The owner of an array: when the array and all views of it are freed, so is this, and gives its memory back."""

    def __init__(self, memory: Memory, shape: tuple[int, ...], dtype: np.dtype[Any], give: Callable[[Memory], None]):
        self._memory, self._give = memory, give
        address = memory.__array_interface__["data"][0]
        self.__array_interface__ = {"shape": shape, "typestr": dtype.str, "data": (address, False), "version": 3}

    def __del__(self) -> None:
        self._give(self._memory)


def empty(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Return an array as `np.empty` does."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if not LEAST_BYTES <= size <= KEPT_BYTES // 4:
        return np.empty(shape, dtype)
    return np.asarray(_Borrowed(_pool.take(size), shape, dtype, _pool.give))
