"""The memory of a progressive JPEG, measured in a process of its own, compared with its reservation."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.jpeg_files import jpeg, photo

MEASURE = """
import ctypes, gc, json, sys
from compressor import pipeline
from compressor.memory import Resources
from compressor.settings import Settings

def run(path, lending, **settings):
    def chunks():
        with open(path, "rb") as file:
            while chunk := file.read(1 << 16):
                yield chunk
    resources = Resources()
    if not lending:  # a budget of exactly what is reserved
        resources.memory_budget = pipeline.inspect(chunks(), Settings(**settings)).reserved_bytes
    size = reserved = 0
    add = resources.held.add
    def added(count):
        nonlocal reserved
        add(count)
        reserved = max(reserved, resources.held.bytes)
    resources.held.add = added
    with pipeline.stream(chunks(), Settings(**settings), resources=resources) as stream:
        for chunk in stream:
            size += len(chunk)
    return reserved, size

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name))

small, large, settings, lending = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), sys.argv[4] == "True"
run(small, lending, **settings)
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # free memory of the process would hide allocations
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
before = status("VmRSS")
reserved, size = run(large, lending, **settings)
print(json.dumps({"peak": status("VmHWM") - before, "reserved": reserved, "size": size}))
"""


def measured(small: Path, large: Path, seconds: int = 300, lending: bool = False, **settings: object) -> dict[str, int]:
    """Return the peak of the memory used, the peak of the memory reserved, and the size of the result."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(small), str(large), json.dumps(settings), str(lending)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, int] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a small file, and one of 16 MP: the same picture repeated."""
    directory = tmp_path_factory.mktemp("progressive")
    small, large = directory / "small.jpg", directory / "large.jpg"
    small.write_bytes(jpeg(64, 64, progressive=True))
    piece = photo(512, 512)
    picture = piece.resize((4096, 4096))
    for x in range(0, 4096, 512):
        for y in range(0, 4096, 512):
            picture.paste(piece, (x, y))
    picture.save(large, "JPEG", quality=90, progressive=True)
    return small, large


@pytest.mark.parametrize("settings", [{"effort": "fast", "delivery": "immediate"}, {"lossless": True}], ids=str)
def test_sixteen_megapixels_take_no_more_than_reserved(files: tuple[Path, Path], settings: dict[str, Any]) -> None:
    found = measured(*files, **settings)

    assert found["size"] > 1 << 20
    assert found["peak"] <= found["reserved"] < 5 << 20
