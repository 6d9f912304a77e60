"""Numba's cache of the kernels, for a process without a library of compiled ones.

Numba's own cache does not notice that a function changed because another file did, and its folder is named after the
path of the source. So our kernels have a locator of their own; other Numba functions of the process keep theirs:

    $NUMBA_CACHE_DIR, or `compressor` in the XDG cache directory / digest of all sources, Numba's version, mode and CPU

Where that can't be written to, nothing is cached, and every process compiles. Kernels are compiled for the best of
CPUS that this machine has, never for all that it can do: what the tests have run is then what every machine runs. LLVM
has made wrong code for AVX-512 (see `png.filter`).
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config

from compressor.kernels import library
from compressor.kernels.cpus import best_cpu, cpu_flags

HERE = library.HERE


def directory(cpu: str) -> Path | None:
    """Return the directory of kernels for a CPU, None if it can't be written to."""
    key = hashlib.sha256(f"{library.digest()} {numba.__version__} {library.MODE} {cpu}".encode()).hexdigest()[:16]
    given = os.environ.get("NUMBA_CACHE_DIR")
    base = Path(given or os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    found = (base if given else base / "compressor") / key
    try:
        found.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=found).close()
    except OSError:
        return None
    return found


class Locator(caching._SourceFileBackedLocatorMixin, caching._CacheLocator):
    """A locator of our kernels' cache. Every other function is left to Numba's own locators."""

    directory: Path | None = None

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """Return a path below the digest of the contents, so that the package may be installed at any path."""
        assert self.directory is not None
        return str(self.directory / Path(self._py_file).resolve().relative_to(HERE).parent)

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "Locator | None":
        if cls.directory is None or not Path(py_file).resolve().is_relative_to(HERE):
            return None
        found: Locator | None = super().from_function(py_func, py_file)
        return found


def prepare() -> bool:
    """Configure Numba for our cache and CPU, before any kernel is compiled. Return whether kernels can be cached.

    The settings are those of this process only: environment variables would reach child processes, which may not have
    this package.
    """
    cpu = config.CPU_NAME or best_cpu(cpu_flags())
    Locator.directory = directory(cpu)
    own = f"{Locator.__module__}.{Locator.__qualname__}"
    others = config.CACHE_LOCATOR_CLASSES or ",".join(cls.__name__ for cls in caching.CacheImpl._locator_classes)
    if own not in others:
        config.CACHE_LOCATOR_CLASSES = f"{own},{others}"
    if config.CPU_NAME is None and not USED_BEFORE:
        # An explicit feature list, empty: the CPU's own and no others. By default Numba adds every feature of this
        # machine (AVX-512, for example), and the code would crash on a CPU of that name without them.
        config.CPU_NAME, config.CPU_FEATURES = cpu, ""
    return Locator.directory is not None


# An application that has used Numba before: its code generator keeps the CPU that it was made for.
USED_BEFORE = "numba.core.registry" in sys.modules and bool(
    vars(sys.modules["numba.core.registry"].cpu_target).get("_toplevel_target_context")
)


@contextlib.contextmanager
def progress(kernel: Any) -> Iterator[None]:
    """Name the kernel at the terminal while it is compiled, for as long as that takes."""
    found = Locator.directory
    place = Path(kernel.__code__.co_filename).resolve().relative_to(HERE).with_suffix(f".{kernel.__name__}-*.nbi")
    if not sys.stderr.isatty() or (found is not None and any(found.glob(str(place)))):
        yield
        return
    sys.stderr.write(f"\r\x1b[Kcompressor: Numba compiles kernels, once: {place.stem}")
    sys.stderr.flush()
    yield
    sys.stderr.write("\r\x1b[K")
