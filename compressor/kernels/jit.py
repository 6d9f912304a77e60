"""Declarations of kernels in a process without a library: Numba compiles them. The only importer of Numba.

Kernels neither raise nor allocate, which the options see to: with NumPy's error model a division by zero is not an
error, and without Numba's run-time (`_nrt`) an allocation does not compile. Nor are references to arrays counted then,
which made a slice in a loop 20 % slower.
"""

from collections.abc import Callable
from typing import Any

import numba.extending
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils, config

from compressor.kernels import cache, cpus, library
from compressor.kernels.signature import Argument, parse

__all__ = ["FUSED", "SAFE", "cgutils", "compile_function", "compile_kernel", "inlined", "intrinsic", "ir", "types"]

SAFE = library.MODE == "safe"
CACHED = cache.prepare()
FUSED = cpus.is_fused(config.CPU_NAME)
OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "boundscheck": SAFE}

# The kernels that were imported: Numba's dispatcher, its signature, and whether it releases the GIL.
declared: list[tuple[Any, str, bool]] = []


def _type(argument: Argument | tuple[Argument, ...]) -> Any:
    if isinstance(argument, tuple):
        return types.Tuple([_type(each) for each in argument])
    scalar = types.boolean if argument.code == "b1" else getattr(types, argument.code)
    return types.Array(scalar, argument.ndim, "C", readonly=argument.const) if argument.ndim else scalar


def compile_kernel(signature: str, releases_gil: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Compile the decorated function for the arguments of its signature, or load it from the cache."""
    wanted = parse(signature)
    result = types.void if wanted.result == "void" else getattr(types, wanted.result)
    options = OPTIONS | {"nogil": releases_gil}
    compile_ = njit(result(*map(_type, wanted.arguments)), cache=CACHED, **options)

    def compiled(python: Callable[..., Any]) -> Any:
        with cache.progress(python):
            made = compile_(python)
        declared.append((made, signature, releases_gil))
        return made

    return compiled


def compile_function(python: Any = None, **options: Any) -> Any:
    """Let kernels call the decorated function."""
    made = njit(**OPTIONS | options)
    return made if python is None else made(python)


inlined: Any = njit(forceinline=True, **OPTIONS)
intrinsic: Any = numba.extending.intrinsic
