"""Arrays in, arrays out: compiled, without the GIL, without I/O, without raising. The only door to Numba.

Importing a kernel module compiles its kernels or loads them from the cache, so modules that need one import it where
the work begins, and servers call `warmup` before they say that they are ready.
"""

import importlib
import pkgutil
import sys
import time

_NUMBA_WAS_THERE = "numba.core" in sys.modules

# After the look at what the application had imported.
from numba.core.dispatcher import Dispatcher  # noqa: E402

from compressor.kernels import cache  # noqa: E402

PLACE = cache.prepare(_NUMBA_WAS_THERE)


def warmup() -> list[tuple[str, float]]:
    """Import every kernel module; the name and the wall seconds of each, about 0 where it was there already."""
    taken = []
    for module in sorted(pkgutil.walk_packages(__path__, f"{__name__}."), key=lambda module: module.name):
        before = time.perf_counter()
        importlib.import_module(module.name)
        taken.append((module.name.removeprefix(f"{__name__}."), time.perf_counter() - before))
    return taken


def loaded() -> tuple[int, int]:
    """How many kernels of this process came out of the cache, and how many were compiled."""
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{__name__}.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
    misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
    return hits, misses
