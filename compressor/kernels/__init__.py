"""Kernels: arrays in, arrays out, without the GIL, I/O, exceptions or allocations.

They are written for Numba, which compiles them ahead of time into one library (`library`) or, without one, when they
are imported (`jit`).
"""

import importlib
import pkgutil


def import_all() -> None:
    """Import every kernel module. Where Numba compiles the kernels, this is when."""
    for module in sorted(pkgutil.walk_packages(__path__, f"{__name__}."), key=lambda module: module.name):
        if module.name.rpartition(".")[2] not in {"bound", "cache", "jit"}:
            importlib.import_module(module.name)
