"""The library of compiled kernels: what it accepts, and that its results are those of every CPU and of Numba."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.kernels import cpus, huffman_encode
from compressor.kernels.signature import Argument, Signature, parse
from scripts.kernels import extension
from tests import ROOT

ALLOCATING = """
import numpy as np
from compressor.kernels.declare import kernel

@kernel("i8(i8)")
def allocating(x):
    return np.zeros(x).size
"""
RAISING = """
from compressor.kernels.declare import kernel

@kernel("i8(i8)")
def raising(x):
    if x > 3:
        raise ValueError("too large")
    return x
"""


def arguments() -> list[Any]:
    """Return arguments of `count_symbols`."""
    layout = np.array([[0, 1, 1, 1]], np.int64)
    return [np.zeros((1, 64), np.int16), layout, 1, np.zeros(1, np.int64), np.zeros((1, 2, 256), np.int64)]


def read_only(array: Any) -> Any:
    array.flags.writeable = False
    return array


def misaligned() -> Any:
    return np.zeros(129, np.uint8)[1:].view(np.int16).reshape(1, 64)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.zeros((1, 64), np.int32),
        lambda a: np.zeros((1, 64), np.int16).astype(">i2"),
        lambda a: np.zeros(64, np.int16),
        lambda a: np.zeros((1, 128), np.int16)[:, ::2],
        lambda a: np.zeros((2, 64), np.int16, order="F"),
        read_only,
        lambda a: misaligned(),
        lambda a: a.tolist(),
        lambda a: bytes(128),
        lambda a: None,
    ],
    ids=["dtype", "byte order", "dimensions", "strides", "order", "read-only", "misaligned", "list", "bytes", "None"],
)
def test_an_array_that_is_not_as_declared_is_a_type_error(change: Callable[[Any], Any]) -> None:
    first, *others = arguments()

    with pytest.raises(TypeError):
        huffman_encode.count_symbols(change(first), *others)


@pytest.mark.parametrize("number", [1.5, "1", None, np.zeros(2)])
def test_a_number_that_is_not_an_integer_is_a_type_error(number: Any) -> None:
    coefficients, layout, _, *others = arguments()

    with pytest.raises(TypeError):
        huffman_encode.count_symbols(coefficients, layout, number, *others)


def test_the_number_of_arguments_is_checked() -> None:
    with pytest.raises(TypeError):
        huffman_encode.count_symbols(*arguments()[:-1])
    with pytest.raises(TypeError):
        huffman_encode.count_symbols(*arguments(), 1)


@pytest.mark.parametrize("number", [1, np.int64(1), np.uint8(1), True])
def test_integers_of_any_type_are_numbers(number: Any) -> None:
    coefficients, layout, _, *others = arguments()

    huffman_encode.count_symbols(coefficients, layout, number, *others)

    assert others[1].sum() == 2  # DC and EOB


def test_arrays_are_not_kept() -> None:
    given = arguments()
    before = [sys.getrefcount(each) for each in given if isinstance(each, np.ndarray)]

    for _ in range(100):
        huffman_encode.count_symbols(*given)

    assert [sys.getrefcount(each) for each in given if isinstance(each, np.ndarray)] == before


@pytest.mark.parametrize("cpu", cpus.CPUS)
def test_the_kernels_for_each_cpu_have_the_same_results(cpu: str) -> None:
    """The golden results, in a process whose kernels are those of the CPU. `make test` has a pass with Numba's."""
    code = f"import pytest, sys; from compressor.kernels import library; library.use({cpu!r}); sys.exit(pytest.main())"
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "tests/pipeline/test_golden.py"]

    done = subprocess.run(
        command, env=os.environ | {"COMPRESSOR_KERNELS": "compiled"}, cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout


def test_the_best_cpu_is_chosen() -> None:
    """The library asks the CPU, Numba's part the system."""
    code = "from compressor.kernels import library; print(library.description())"
    environment = os.environ | {"COMPRESSOR_KERNELS": "compiled"}

    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)

    assert done.stdout.strip() == f"compiled, {cpus.best_cpu(cpus.cpu_flags())}"


def test_an_unknown_cpu_is_rejected() -> None:
    code = "from compressor.kernels import library; library.use('pentium')"
    environment = os.environ | {"COMPRESSOR_KERNELS": "compiled"}

    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True)

    assert "ValueError: no kernels for 'pentium' that this machine can run" in done.stderr


@pytest.mark.parametrize(
    "kernel, reason",
    [(ALLOCATING, "return np.zeros(x).size"), (RAISING, "a kernel can raise")],
    ids=["allocates", "raises"],
)
def test_a_kernel_that_allocates_or_raises_is_not_compiled(kernel: str, reason: str, tmp_path: Path) -> None:
    """An exception is a status of the kernel; the build looks for it in the code."""
    (tmp_path / "scripts" / "kernels").mkdir(parents=True)
    package = tmp_path / "compressor"
    (package / "kernels").mkdir(parents=True)
    for name in ("__init__", "bound", "cache", "cpus", "declare", "jit", "library", "signature"):
        (package / "kernels" / f"{name}.py").write_text((ROOT / f"compressor/kernels/{name}.py").read_text())
    for name in ("compressor/__init__.py", "compressor/t81.py", "scripts/kernels/objects.py"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (package / "kernels" / "probe.py").write_text(kernel)
    command = [sys.executable, "-m", "scripts.kernels.objects", "probe.o", "probe"]
    environment = {
        "PATH": os.environ["PATH"], "COMPRESSOR_KERNELS": "numba", "NUMBA_CACHE_DIR": os.devnull,
        "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "",
    }  # fmt: skip

    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert reason in done.stderr
    assert not (tmp_path / "probe.o").exists()


def test_signatures_are_read() -> None:
    found = parse("i8(const u1[::1], b1, (i2[:, ::1], f4[:, :, ::1]), f4)")

    assert found == Signature(
        "i8",
        (
            Argument("u1", 1, True),
            Argument("b1", 0, False),
            (Argument("i2", 2, False), Argument("f4", 3, False)),
            Argument("f4", 0, False),
        ),
    )
    assert len(list(found.flat())) == 5


@pytest.mark.parametrize(
    "text", ["", "i8", "i8(x)", "i9(i8)", "void(u1[:])", "void(const i8)", "void(u1[::1)", "void((i8, (i8)))"]
)
def test_what_is_not_a_signature_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        parse(text)


def test_the_extension_has_a_function_for_each_kernel_and_cpu() -> None:
    code = extension.source({"probe": ("i8(const u1[::1], i8)", True)}, {"x86-64-v3": "cpu0", "generic": "cpu1"})

    for prefix in ("cpu0", "cpu1"):
        assert (
            f"extern int {prefix}_probe(int64_t *, void **, void *, void *, int64_t, int64_t, void *, int64_t" in code
        )
    assert "Py_BEGIN_ALLOW_THREADS" in code
    assert "Py_BEGIN_ALLOW_THREADS" not in extension.source({"p": ("void(i8)", False)}, {"generic": "c"})
