"""Settings of the C allocator and the garbage collector that return freed memory to the system."""

import contextlib
import ctypes
import gc

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


def return_freed_memory() -> None:
    """Set glibc's options before the first thread starts; other C libraries don't have them.

    By default each thread gets an arena of its own, whose free parts no other thread uses. The size from which blocks
    are mapped, and so unmapped when freed, grows up to 32 MiB with the blocks that are freed. 64 KiB include gRPC's
    read buffers: 32 uploads of 20 MP that stopped half-way kept 9 MiB, with a threshold of 128 KiB 39 MiB.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_ARENA_MAX, 2)
        mallopt(M_MMAP_THRESHOLD, 64 << 10)
        mallopt(M_TRIM_THRESHOLD, 512 << 10)


def freeze() -> None:
    """Exclude all present objects from `trim`: they live as long as the process."""
    gc.collect()
    gc.freeze()


def trim() -> None:
    """Free what only reference cycles keep, few objects but maybe large ones, and free pages inside the heap."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
