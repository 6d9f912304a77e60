"""How kernels are declared, and the only importer of Numba.

    @kernel("i8(const u1[::1], i8)")      called from Python
    @function, @inlined                   called by kernels only
    @intrinsic                            writes LLVM's code itself

With a library of compiled kernels (`library`), a kernel is a function of the library, and everything else that is
declared here is accepted and not used: Numba is not even imported. Without one, Numba compiles each kernel when its
module is imported.

Kernels neither raise nor allocate. Both hold by construction: with the error model of NumPy a division by zero is not
an error, and without Numba's run-time (`_nrt`) an allocation does not compile. It also saves counting references to
arrays: with them a slice in a loop costs 20 %.
"""

from collections.abc import Callable
from typing import Any

from compressor.kernels import library
from compressor.kernels.signature import Argument, parse

__all__ = ["SAFE", "cgutils", "function", "inlined", "intrinsic", "ir", "kernel", "types"]

SAFE = library.MODE == "safe"

if library.COMPILED is not None:

    class _Unused:
        """Stands for a module of Numba's or llvmlite's. Every attribute of it exists and can be called."""

        def __getattr__(self, name: str) -> "_Unused":
            return self

        def __call__(self, *arguments: Any) -> "_Unused":
            return self

    cgutils = ir = types = _Unused()

    def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Return the function of the library that was compiled from the decorated one."""
        return library.function

    def function(python: Any = None, **options: Any) -> Any:
        """Return the function as it is: no one calls it."""
        return python or function

    inlined = intrinsic = function

else:
    from llvmlite import ir
    from numba import njit, types
    from numba.core import cgutils
    from numba.extending import intrinsic

    from compressor.kernels import cache

    CACHED = cache.prepare()
    OPTIONS = {"nogil": True, "error_model": "numpy", "_nrt": False, "boundscheck": SAFE}

    def _type(argument: Argument | tuple[Argument, ...]) -> Any:
        if isinstance(argument, tuple):
            return types.Tuple([_type(each) for each in argument])
        scalar = types.boolean if argument.code == "b1" else getattr(types, argument.code)
        return types.Array(scalar, argument.ndim, "C", readonly=argument.const) if argument.ndim else scalar

    def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Compile the decorated function for the arguments of its signature, or load it from the cache."""
        declared = parse(signature)
        result = types.void if declared.result == "void" else getattr(types, declared.result)
        compile_ = njit(result(*map(_type, declared.arguments)), cache=CACHED, **OPTIONS)

        def compiled(python: Callable[..., Any]) -> Callable[..., Any]:
            with cache.progress(python):
                return compile_(python)

        return compiled

    def function(python: Any = None, **options: Any) -> Any:
        """Let kernels call the decorated function."""
        made = njit(**OPTIONS | options)
        return made if python is None else made(python)

    inlined = njit(forceinline=True, **OPTIONS)
