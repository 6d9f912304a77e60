"""Declarations of kernels in a process with a library: nothing is compiled, and Numba is not imported."""

from collections.abc import Callable
from typing import Any

from compressor.kernels import library


class _Unused:
    """A stand-in for a module of Numba or llvmlite. It has every attribute, and each can be called."""

    def __getattr__(self, name: str) -> "_Unused":
        return self

    def __call__(self, *arguments: Any) -> "_Unused":
        return self


UNUSED: Any = _Unused()


def bind_kernel(signature: str, releases_gil: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Return the function of the library that was compiled from the decorated one."""
    return library.bound_to


def ignore(python: Any = None, **options: Any) -> Any:
    """Return the decorated function, which nothing calls."""
    return python or ignore
