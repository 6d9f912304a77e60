"""The cache of compiled kernels: its directory, and the CPU that kernels are compiled for.

Numba's own cache has three traps. It does not notice that a function changed because another file did. Its folder is
named after the path of the source. And a directory that can't be written to fails the import, even if everything is
cached already. So our kernels have a locator of their own; other Numba functions of the process keep theirs:

    <root>/<digest>/…              digest of every file that kernels depend on, Numba's version and bounds checking
    root                           $COMPRESSOR_CACHE_DIR, $NUMBA_CACHE_DIR, or `compressor` in the XDG cache directory
    <tmp>/compressor-<uid>/<digest>  if the root can't be written to; begins as links to the root's files

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

# Features that the x86-64 psABI requires for levels 2 and 3, as /proc/cpuinfo spells them.
V2_FLAGS = {"cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3"}
V3_FLAGS = frozenset(V2_FLAGS | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})

# CPUs by LLVM's names, the best first. Code for the last one runs anywhere.
X86_64_V3 = "x86-64-v3"
BAKED_CPUS = {"x86_64": (X86_64_V3, "generic")}.get(platform.machine(), ("generic",))


@dataclass(frozen=True, slots=True)
class CachePlace:
    """The directory of cached kernels, and their CPU.

    directory  None: no cache, kernels are compiled in every process
    cpu        one of BAKED_CPUS; None: the CPU of this machine, with all its features
    """

    directory: Path | None
    cpu: str | None


def digest(sources: Path = SOURCES) -> str:
    """Return 16 hex digits that change with any input of the compiler: kernel files, t81.py, Numba, bounds checking."""
    sha = hashlib.sha256(f"{numba.__version__} boundscheck={bool(config.BOUNDSCHECK)}".encode())
    for path in (sources / "t81.py", *sorted((sources / "kernels").rglob("*.py"))):
        content = path.read_bytes()
        sha.update(f"\n{path.relative_to(sources).as_posix()} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the flags of the first CPU that Linux lists; none if it lists none."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return frozenset()
    return next((frozenset(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), frozenset())


def baked_cpu(flags: frozenset[str]) -> str:
    """Return the best of BAKED_CPUS that a CPU with these flags can run."""
    return next(cpu for cpu in BAKED_CPUS if cpu != X86_64_V3 or flags >= V3_FLAGS)


def writable(directory: Path) -> bool:
    """Create the directory if needed, and return whether a file can be written there."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return False
    return True


def private_tmp() -> Path | None:
    """Return a temporary directory that no other user can have written to, the same one in every process."""
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
    """Fill `directory` with links to the files of `source` and return it. Where Numba writes, it replaces the link."""
    for path in source.rglob("*"):
        link = directory / path.relative_to(source)
        if path.is_dir() or os.path.lexists(link):
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process created it first
            link.symlink_to(path)
    return directory


def at(root: Path | None, key: str) -> Path | None:
    """Return a directory for `key`: below root, else a temporary one, else root's read-only one, else None."""
    kept = root / key if root is not None else None
    if kept is not None and writable(kept):
        return kept
    tmp = private_tmp()
    if tmp is not None and writable(tmp / key):
        return tmp / key if kept is None else linked(kept, tmp / key)
    return kept if kept is not None and kept.is_dir() else None


def root_of_user() -> Path | None:
    """Return the root of the user's cache; None for a user without a home."""
    given = os.environ.get("COMPRESSOR_CACHE_DIR") or os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given).absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    return base / "compressor" if base.is_absolute() else None


def choose(key: str) -> CachePlace:
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
            return CachePlace(at(kept.parent, key), cpu)
    return CachePlace(at(root_of_user(), key), cpu)


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

    def ensure_cache_path(self) -> None:
        """Create the directory. One that can only be read from is accepted: it holds the kernels already."""
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


def prepare(numba_was_imported: bool = False) -> CachePlace:
    """Configure Numba for our cache and its CPU. Called once, before any kernel is imported.

    The settings are those of this process only: environment variables would reach child processes, which may not have
    this package.

    numba_was_imported  the application has used Numba before; its code generator then keeps the CPU it was made for
    """
    place = choose(digest())
    Locator.directory = place.directory
    own = f"{Locator.__module__}.{Locator.__qualname__}"
    others = config.CACHE_LOCATOR_CLASSES or ",".join(cls.__name__ for cls in caching.CacheImpl._locator_classes)
    if own not in others:
        config.CACHE_LOCATOR_CLASSES = f"{own},{others}"
    if place.directory is None:
        _uncached_below(HERE)
    if place.cpu is not None and config.CPU_NAME is None and not numba_was_imported:
        # An explicit feature list, empty: the CPU's own and no others. By default Numba adds every feature of this
        # machine (AVX-512, for example), and the code would crash on a CPU of that name without them.
        config.CPU_NAME, config.CPU_FEATURES = place.cpu, ""
    return place


def _uncached_below(directory: Path) -> None:
    """Let our kernels compile without a cache. Without any directory, Numba would refuse to define them."""
    enable = dispatcher.Dispatcher.enable_caching

    def enable_caching(self: Any) -> None:
        if not Path(self.py_func.__code__.co_filename).resolve().is_relative_to(directory):
            enable(self)

    dispatcher.Dispatcher.enable_caching = enable_caching
