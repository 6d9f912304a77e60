"""Arrays whose memory is used again."""

import gc
from typing import Any

import numpy as np
import pytest

from compressor import scratch

SIZE = 300_000


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_pool", scratch._Pool())


def address(array: np.ndarray) -> int:
    return int(array.ctypes.data)


@pytest.mark.parametrize("shape, dtype", [((2000, 64), np.int16), ((SIZE,), np.uint8), ((3, 50_000), np.float32)])
def test_an_array_is_as_numpy_makes_it(shape: tuple[int, ...], dtype: Any) -> None:
    array = scratch.empty(shape, dtype)

    assert array.shape == shape and array.dtype == np.dtype(dtype)
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 7
    assert (array == 7).all()


def test_memory_is_used_again_once_an_array_and_its_views_are_freed() -> None:
    array = scratch.empty((SIZE,), np.uint8)
    before = address(array)
    view = array[10:20].reshape(2, 5)[1:].data
    del array
    other = scratch.empty((SIZE,), np.uint8)
    assert address(other) != before

    del view
    gc.collect()
    again = scratch.empty((SIZE // 4 * 3,), np.uint8)
    assert address(again) == before


def test_memory_more_than_twice_as_large_is_not_used() -> None:
    array = scratch.empty((SIZE,), np.uint8)
    before = address(array)
    del array

    assert address(scratch.empty((SIZE // 3,), np.uint8)) != before


def test_no_more_than_a_limit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [scratch.empty((SIZE,), np.uint8) for _ in range(30)]
    arrays.clear()

    assert scratch._pool._bytes == sum(memory.nbytes for memory in scratch._pool._free)
    assert scratch.KEPT_BYTES - SIZE < scratch._pool._bytes <= scratch.KEPT_BYTES


def test_small_and_very_large_arrays_are_left_to_the_allocator() -> None:
    for size in (scratch.LEAST_BYTES - 1, scratch.KEPT_BYTES // 4 + 1):
        scratch.empty((size,), np.uint8)
    assert scratch._pool._free == []
