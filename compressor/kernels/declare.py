"""How kernels are declared.

    @kernel("i8(const u1[::1], i8)")      called from Python; see `signature`
    @function, @inlined                   called by kernels only
    @intrinsic                            writes LLVM's code itself, with `ir`, `types` and `cgutils`

With a library of compiled kernels (`library`), a kernel is a function of the library, and everything else that is
declared is accepted and not used (`bound`). Without one, Numba compiles each kernel when its module is imported
(`jit`).
"""

import importlib
from typing import Any

from compressor.kernels import library

library.check()
_how: Any = importlib.import_module(f"compressor.kernels.{'jit' if library.COMPILED is None else 'bound'}")

SAFE: bool = _how.SAFE  # every access to an array is checked
kernel, function, inlined, intrinsic = _how.kernel, _how.function, _how.inlined, _how.intrinsic
cgutils, ir, types = _how.cgutils, _how.ir, _how.types
