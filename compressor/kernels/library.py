"""The library of compiled kernels, and the choice between it and Numba.

COMPRESSOR_KERNELS chooses:

    compiled  the library, which is made when the package is built (scripts/kernels)
    numba     Numba compiles the kernels when they are first imported, and caches them
    safe      as `numba`, but every access to an array is checked

The default is `compiled` where there is a library, and else `numba`. The library is an extension module for all
versions of Python, `_compiled.DIGEST.abi3.so`, where DIGEST is that of the kernels' sources: one of other sources is
not used. It has the code for each of its CPUs, and decides once which of them this machine can run.
"""

import hashlib
import importlib.machinery
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
MODES = ("compiled", "numba", "safe")
MISSING = (
    "there are no compiled kernels for this machine: install 'compressor[jit]', with which Numba compiles them, "
    "or a wheel for this machine"
)

log = logging.getLogger(__name__)


def digest(package: Path = HERE.parent) -> str:
    """Return 16 hex digits that change with any source of the kernels: the files of this folder, and t81.py."""
    sha = hashlib.sha256()
    for path in (package / "t81.py", *sorted((package / "kernels").rglob("*.py"))):
        content = path.read_bytes()
        sha.update(f"\n{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        sha.update(content)
    return sha.hexdigest()[:16]


def file_name(sources: str) -> str:
    """Return the name of the library that was compiled from sources with this digest."""
    return f"_compiled.{sources}.abi3.so"


def qualified_name(function: Callable[..., Any]) -> str:
    """Return the name of a kernel in the library: that of its module and its own."""
    module = function.__module__.removeprefix("compressor.kernels.").replace(".", "_")
    return f"{module}_{function.__name__}"


def _mode() -> str | None:
    mode = os.environ.get("COMPRESSOR_KERNELS") or None
    if mode not in (None, *MODES):
        raise ValueError(f"COMPRESSOR_KERNELS is {mode!r}, must be one of {', '.join(MODES)}")
    return mode


def _load() -> ModuleType | None:
    """Return the library, None if there is none."""
    path = HERE / file_name(digest())
    if not path.exists():
        if any(HERE.glob(file_name("*"))):
            log.warning("the compiled kernels are of other sources and not used; `make install` compiles them again")
        return None
    loader = importlib.machinery.ExtensionFileLoader(f"{__package__}._compiled", str(path))
    spec = importlib.util.spec_from_file_location(loader.name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


MODE = _mode()
COMPILED = _load() if MODE in (None, "compiled") else None
if MODE is None:
    MODE = "numba" if COMPILED is None else "compiled"


def check() -> None:
    """Raise ImportError if there is neither a library nor Numba."""
    if COMPILED is None and (MODE == "compiled" or importlib.util.find_spec("numba") is None):
        raise ImportError(MISSING)


def bound_to(python: Callable[..., Any]) -> Any:
    """Return the function of the library that was compiled from `python`."""
    return getattr(COMPILED, qualified_name(python))


def use(cpu: str) -> None:
    """Run the library's kernels for another CPU. Raise ValueError if it has none that this machine can run."""
    assert COMPILED is not None
    COMPILED.use(cpu)


def description() -> str:
    """Return which kernels run, for people: "compiled, x86-64-v3", "numba", "safe"."""
    return str(MODE) if COMPILED is None else f"compiled, {COMPILED.cpu()}"
