"""Compile the kernels into one library, for each CPU of `cpus.CPUS`: python -m scripts.kernels.build DIRECTORY

Needs Numba, NumPy and a C compiler ($CC, cc, or that of the package `ziglang`). The library is an extension module for
every version of Python, `library.file_name`.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy

from compressor.kernels import library
from compressor.kernels.cpus import CPUS
from scripts.kernels import extension

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

FLAGS = ["-shared", "-fPIC", "-O2", "-fvisibility=hidden"]
if sys.platform == "darwin":
    FLAGS += ["-undefined", "dynamic_lookup"]  # Python has the symbols of its API; other linkers ask for none


def compiler() -> list[str]:
    """Return the command of the C compiler."""
    if "CC" in os.environ:
        return os.environ["CC"].split()
    found = shutil.which("cc")
    return [found] if found else [sys.executable, "-m", "ziglang", "cc"]


def headers() -> Path:
    """Return the directory of Python's headers."""
    found = Path(sysconfig.get_path("include"))
    if not (found / "Python.h").exists():
        raise SystemExit(f"{found}/Python.h is missing: install Python's headers for C (Debian: python3-dev)")
    return found


def objects(directory: Path) -> tuple[dict[str, Path], dict[str, tuple[str, bool]]]:
    """Compile the kernels for all CPUs at once, each in a process. Return the object files, and the declarations."""
    paths, processes = {}, []
    for n, cpu in enumerate(CPUS):
        paths[cpu] = directory / f"cpu{n}.o"
        environment = os.environ | {
            "COMPRESSOR_KERNELS": "numba",
            "NUMBA_CACHE_DIR": os.devnull,  # not a directory: code from a cache is not LLVM's any more
            "NUMBA_CPU_NAME": cpu,
            "NUMBA_CPU_FEATURES": "",
        }
        command = [sys.executable, "-m", "scripts.kernels.objects", str(paths[cpu]), f"cpu{n}"]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE))
    found = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("the kernels could not be compiled")
    return paths, json.loads(found[0])


def build(target: Path) -> Path:
    """Compile the library into a directory, if it is not there. Return its path."""
    made = target / library.file_name(library.digest())
    if made.exists() and made.stat().st_mtime > max(path.stat().st_mtime for path in HERE.glob("*.py")):
        return made
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        paths, kernels = objects(directory)
        source, linked = directory / "kernels.c", directory / made.name
        cpus = {cpu: path.stem for cpu, path in paths.items()}
        source.write_text(extension.source(kernels, cpus))
        includes = [f"-I{headers()}", f"-I{numpy.get_include()}"]
        subprocess.run([*compiler(), *FLAGS, *includes, source, *paths.values(), "-lm", "-o", linked], check=True)
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob(library.file_name("*")):
            old.unlink()
        shutil.move(linked, made)
    return made


if __name__ == "__main__":
    sys.stdout.write(f"{build(Path(sys.argv[1]))}\n")
