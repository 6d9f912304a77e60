"""Memory reserved for archiving and for unarchiving against memory measured, each in a process of its own.

Whole files and all samples are in memory, which grows with the pixels and with the bytes of the file. The figures are
printed with `-s`.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.memory import peak
from compressor import archive, pipeline
from compressor.archive import child
from tests import ROOT
from tests.pipeline.test_memory_formula import write
from tests.readable import InMemory

MIB = 1 << 20
OVER_MAX = 1.5
# The headers of an archive do not say how chroma is sampled, so that 4:4:4 is charged; and 13 MiB for bytes after EOI.
UNARCHIVING_OVER_MAX = 2.5
JUDGED_FROM_BYTES = 48 * MIB
PEAK = """
import sys
sys.path[:] = {path!r}
from compressor.archive.child import serve
serve({limit}, {memory}, {untouched}, cpu_seconds=60)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1], file=sys.stderr)
"""
ORDINARY = 2000, 1500
LARGE = 4000, 3000
CASES = (
    ("baseline", ORDINARY),
    ("baseline-444-noise", ORDINARY),
    ("baseline-grey", LARGE),  # most of what the library allocates is never touched
)
HEAVY = (
    ("baseline", LARGE),
    ("baseline-444", LARGE),
    ("baseline-422", LARGE),
    ("baseline-grey", ORDINARY),
    ("baseline-444-noise", LARGE),
    ("progressive-422", LARGE),
    ("progressive-444", LARGE),
    ("progressive-444-noise", ORDINARY),
    ("baseline", (60_000, 200)),
    ("baseline", (200, 60_000)),
    ("baseline", (300, 300)),
)


def judge(what: str, peak_bytes: int, reserved_bytes: int, over_max: float) -> None:
    over = reserved_bytes / max(1, peak_bytes)
    print(f"\n{what:40} {peak_bytes / MIB:7.1f} MiB measured {reserved_bytes / MIB:7.1f} reserved {over:5.2f} x")
    assert peak_bytes <= reserved_bytes, "more memory used than reserved"
    if peak_bytes > JUDGED_FROM_BYTES:
        assert reserved_bytes <= over_max * peak_bytes, "much more memory reserved than used"


def check(kind: str, size: tuple[int, int], folder: Path) -> None:
    small, large = write(kind, folder / "small.jpg", 64, 64), write(kind, folder / "large.jpg", *size)
    result, name = folder / "result", f"{kind} {size[0]} x {size[1]}"
    found = peak.measure("compressor", small, large, result, archive=True)
    judge(f"{name}, archive", found.peak_bytes, found.reserved_bytes, OVER_MAX)

    made = result.read_bytes()
    header = archive.read_header(InMemory(made))
    memory, limit = archive.unarchiving_bytes(header, len(made)), archive.jpeg_bytes_max(header, len(made))
    untouched = child.UNTOUCHED_BYTES * size[0] * size[1]
    code = PEAK.format(path=[str(ROOT), *sys.path], limit=limit, memory=memory, untouched=untouched)
    done = subprocess.run([sys.executable, "-c", code], input=made, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == large.read_bytes()
    with pipeline.unarchive_stream(made) as stream:
        reserved = stream.source.reserved_bytes
    judge(f"{name}, unarchive", int(done.stderr) << 10, reserved, UNARCHIVING_OVER_MAX)


@pytest.mark.parametrize("kind, size", CASES)
def test_archives_use_no_more_memory_than_is_reserved(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    check(kind, size, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("kind, size", HEAVY)
def test_archives_of_every_kind_use_the_reserved_memory_and_little_less(
    kind: str, size: tuple[int, int], tmp_path: Path
) -> None:
    check(kind, size, tmp_path)
