"""glibc's allocator, told to give freed memory back: what a call took must not stay with the process for ever."""

import contextlib
import ctypes

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


def return_freed_memory() -> bool:
    """Set the three options before the first thread starts; False where the C library has no `mallopt`.

    By default each thread gets an arena of its own, whose free parts nobody else uses, and the size from which on
    blocks are mapped (and so unmapped when freed) grows up to 32 MiB with the blocks that are freed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl, macOS
        return False
    mallopt(M_ARENA_MAX, 2)
    mallopt(M_MMAP_THRESHOLD, 128 << 10)
    mallopt(M_TRIM_THRESHOLD, 512 << 10)
    return True


def trim() -> None:
    """Give back free pages in the middle of the heap, too: freeing trims only its end."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
