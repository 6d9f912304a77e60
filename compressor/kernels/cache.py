"""Where compiled kernels are kept, and for which CPU they are compiled.

Numba's own cache has three traps: it does not see that a function changed because another file did, its folder is
named after the path of the source, and a directory that can't be written fails the import even where everything is
in it already. So our kernels get a locator of their own (only ours: other Numba functions of the process keep theirs):

    <root>/<digest>/…              digest of every file that kernels are made of, Numba's version and its safety mode
    root                           $COMPRESSOR_CACHE_DIR, $NUMBA_CACHE_DIR, or `compressor` in the XDG cache directory
    <tmp>/compressor-<uid>/<digest>  instead, where the root can't be written; begins as links to what the root has

A container image carries a *baked* cache, `$COMPRESSOR_BAKED_CACHE/<digest>`, filled once for each of `BAKED_CPUS`.
Kernels are compiled for the best of these that this CPU can run, with COMPRESSOR_CPU=host for this very CPU. Loading a
cache runs native code: temporary directories of others are refused.
"""

import contextlib
import hashlib
import os
import platform
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
from numba.core import caching, config, dispatcher

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parent

# What the x86-64 psABI's levels 2 and 3 need, as /proc/cpuinfo spells it.
V2_FLAGS = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3_FLAGS = frozenset(V2_FLAGS | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})

# CPUs in LLVM's words, the best first. The last one runs anywhere.
X86_64_V3 = "x86-64-v3"
BAKED_CPUS = {"x86_64": (X86_64_V3, "generic")}.get(platform.machine(), ("generic",))


@dataclass(frozen=True, slots=True)
class Place:
    """Where kernels are kept and what for.

    directory  None: nowhere, they are compiled in every process
    cpu        one of BAKED_CPUS; None: the CPU of this machine, with all that it has
    """

    directory: Path | None
    cpu: str | None


def digest(sources: Path = SOURCES) -> str:
    """Sixteen hex digits that differ where a compiled kernel might: any kernel file, t81.py, Numba, bounds checks."""
    sha = hashlib.sha256(f"{numba.__version__} boundscheck={bool(config.BOUNDSCHECK)}".encode())
    for path in (sources / "t81.py", *sorted((sources / "kernels").rglob("*.py"))):
        content = path.read_bytes()
        sha.update(f"\n{path.relative_to(sources).as_posix()} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Flags of the first CPU that Linux lists; none where it does not say."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def baked_cpu(flags: frozenset[str]) -> str:
    """The best of BAKED_CPUS that a CPU with these flags can run."""
    return next(cpu for cpu in BAKED_CPUS if cpu != X86_64_V3 or flags >= V3_FLAGS)


def writable(directory: Path) -> bool:
    """Make the directory if need be, and see whether a file can be written there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return False
    return True


def private_tmp() -> Path | None:
    """A directory for temporary files that nobody else could have put code into, the same in every process."""
    for base in (os.environ.get("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"):
        if not base:
            continue
        directory = Path(base) / f"compressor-{os.getuid()}"
        if not writable(directory):
            continue
        found = directory.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022:
            return directory
    return None


def linked(source: Path, directory: Path) -> Path:
    """A writable stand-in for `source`: links to its files, which Numba replaces by files where it writes."""
    for path in source.rglob("*"):
        link = directory / path.relative_to(source)
        if path.is_dir() or os.path.lexists(link):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process was faster
            link.symlink_to(path)
    return directory


def at(root: Path | None, key: str) -> Path | None:
    """The directory for `key`: below root, else in a temporary directory, else root's as it is, else None."""
    kept = root / key if root is not None else None
    if kept is not None and writable(kept):
        return kept
    tmp = private_tmp()
    if tmp is not None and writable(tmp / key):
        return tmp / key if kept is None else linked(kept, tmp / key)
    return kept if kept is not None and kept.is_dir() else None


def root_of_user() -> Path | None:
    """Where caches belong when no image brought one; None for a user without a home."""
    given = os.environ.get("COMPRESSOR_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "compressor" if base.is_absolute() else None


def choose(key: str) -> Place:
    """Decide from the environment and the CPU.

    By default kernels are compiled for one of BAKED_CPUS, never for all that the CPU has: what the tests have run is
    then what every machine runs. LLVM has made wrong code for AVX-512 (see `png.filter`).
    """
    asked = os.environ.get("COMPRESSOR_CPU")
    if asked and asked != "host" and asked not in BAKED_CPUS:
        raise ValueError(f"COMPRESSOR_CPU is {asked!r}, must be one of host, {', '.join(BAKED_CPUS)}")
    cpu = None if asked == "host" else asked or baked_cpu(cpu_flags())
    baked = os.environ.get("COMPRESSOR_BAKED_CACHE")
    if baked and cpu is not None:
        kept = Path(baked).absolute() / key
        if kept.is_dir() or writable(kept):
            return Place(at(kept.parent, key), cpu)
    return Place(at(root_of_user(), key), cpu)


class Locator(caching._SourceFileBackedLocatorMixin, caching._CacheLocator):
    """Sends our kernels to the place that was chosen, and leaves every other function to Numba's own locators."""

    directory: Path | None = None

    def __init__(self, py_func: Any, py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        """Below the digest, which stands for the contents; so the path that the package is installed at is free."""
        assert self.directory is not None
        return str(self.directory / Path(self._py_file).resolve().relative_to(HERE).parent)

    def ensure_cache_path(self) -> None:
        """A directory that is only read is good enough: what is needed is in it."""
        try:
            super().ensure_cache_path()
        except OSError:
            if not os.path.isdir(self.get_cache_path()):
                raise

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "Locator | None":
        if cls.directory is None or not Path(py_file).resolve().is_relative_to(HERE):
            return None
        found: Locator | None = super().from_function(py_func, py_file)
        return found


def prepare(numba_was_there: bool = False) -> Place:
    """Tell Numba where our kernels are and what CPU they are for. Called once, before any kernel is imported.

    The settings are made in this process only: in its environment they would reach children that may not have us.
    numba_was_there  the application has used Numba before us; its code generator then keeps the CPU that it has.
    """
    place = choose(digest())
    Locator.directory = place.directory
    own = f"{Locator.__module__}.{Locator.__qualname__}"
    others = config.CACHE_LOCATOR_CLASSES or ",".join(cls.__name__ for cls in caching.CacheImpl._locator_classes)
    if own not in others:
        config.CACHE_LOCATOR_CLASSES = f"{own},{others}"
    if place.directory is None:
        _uncached_below(HERE)
    if place.cpu is not None and config.CPU_NAME is None and not numba_was_there:
        # The features in so many words: none beyond the name's. Without that Numba adds all that this machine has
        # (AVX-512, say), and the code would die on a CPU of that name which lacks them.
        config.CPU_NAME, config.CPU_FEATURES = place.cpu, ""
    return place


def _uncached_below(directory: Path) -> None:
    """Let our kernels compile without a cache: with no directory at all, Numba would refuse to define them."""
    enable = dispatcher.Dispatcher.enable_caching

    def enable_caching(self: Any) -> None:
        if not Path(self.py_func.__code__.co_filename).resolve().is_relative_to(directory):
            enable(self)

    dispatcher.Dispatcher.enable_caching = enable_caching
