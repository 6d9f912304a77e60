"""Compiled kernels: arrays in, arrays out, without the GIL, I/O or exceptions. The only importer of Numba.

Importing a kernel module compiles its kernels or loads them from the cache. Modules that need one therefore import it
where the work begins, and servers call `warmup` before they report that they are ready.
"""

import importlib
import pkgutil
import sys
import time

_NUMBA_WAS_IMPORTED = "numba.core" in sys.modules

# Imported only after the check whether the application had imported Numba.
from numba.core.dispatcher import Dispatcher  # noqa: E402

from compressor.kernels import cache  # noqa: E402

PLACE = cache.prepare(_NUMBA_WAS_IMPORTED)


def warmup() -> list[tuple[str, float]]:
    """Import every kernel module. Return each one's name and wall seconds, about 0 if it was imported already."""
    durations = []
    for module in sorted(pkgutil.walk_packages(__path__, f"{__name__}."), key=lambda module: module.name):
        before = time.perf_counter()
        importlib.import_module(module.name)
        durations.append((module.name.removeprefix(f"{__name__}."), time.perf_counter() - before))
    return durations


def loaded() -> tuple[int, int]:
    """Return how many kernels of this process came from the cache, and how many were compiled."""
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{__name__}.")]
    kernels = {value for module in modules for value in vars(module).values() if isinstance(value, Dispatcher)}
    hits = sum(sum(kernel.stats.cache_hits.values()) for kernel in kernels)
    misses = sum(sum(kernel.stats.cache_misses.values()) for kernel in kernels)
    return hits, misses
