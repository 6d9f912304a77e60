"""How kernels are declared.

    @kernel("i8(const u1[::1], i8)")      called from Python; see `signature`. With `releases_gil=False` other threads
                                          wait for it: it takes less time than to hand over the GIL twice
    @function, @inlined                   called by kernels only
    @intrinsic                            writes LLVM's code itself, with `ir`, `types` and `cgutils`

With a library of compiled kernels (`library`), a kernel is a function of the library, and everything else that is
declared is accepted and not used (`bound`). Without one, Numba compiles each kernel when its module is imported
(`jit`).
"""

from typing import Any

from compressor.kernels import library

kernel: Any
function: Any
inlined: Any
intrinsic: Any
cgutils: Any
ir: Any
types: Any

library.check()
if library.COMPILED is None:
    from compressor.kernels import jit

    kernel, function, inlined, intrinsic = jit.compile_kernel, jit.compile_function, jit.inlined, jit.intrinsic
    cgutils, ir, types = jit.cgutils, jit.ir, jit.types
    SAFE = jit.SAFE  # every access to an array is checked
    FUSED = jit.FUSED  # the CPU has an instruction that multiplies, adds, and rounds once
else:
    from compressor.kernels import bound

    kernel, function, inlined, intrinsic = bound.bind_kernel, bound.ignore, bound.ignore, bound.ignore
    cgutils = ir = types = bound.UNUSED
    SAFE = FUSED = False
