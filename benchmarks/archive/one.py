"""One file, archived and made again by one library in a process of its own.

    python -m benchmarks.archive.one LIBRARY FILE

Prints a `Measured` as JSON. A small JPEG is archived first, so that one-time costs do not count.
"""

import ctypes
import gc
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import ROOT
from benchmarks.harness import process

TIMEOUT_SECONDS = 300
Codec = tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The work of a library on a file; `problem` is its error, "" if there was none.

    *_seconds  CPU time of the process, all threads together
    *_peak     bytes above the resident memory before
    """

    library: str
    file: str
    bytes_in: int
    bytes_out: int = 0
    exact: bool = False
    archive_seconds: float = 0.0
    unarchive_seconds: float = 0.0
    archive_peak: int = 0
    unarchive_peak: int = 0
    problem: str = ""


def of_imagecodecs() -> Codec:
    found: Any = import_module("imagecodecs")
    return (
        lambda data: found.jpegxl_encode_jpeg(data, numthreads=1),
        lambda data: found.jpegxl_decode_jpeg(data, numthreads=1),
    )


def of_pylibjxl() -> Codec:
    codec: Any = import_module("pylibjxl").JXL(threads=1)
    return codec.jpeg_to_jxl, codec.jxl_to_jpeg


def of_pyjpegxl() -> Codec:
    found: Any = import_module("pyjpegxl")
    found.set_num_threads(1)
    return found.jpeg_to_jxl, found.jxl_to_jpeg


def of_lepton() -> Codec:
    found: Any = import_module("lepton_jpeg_python")
    return found.compress_bytes, found.decompress_bytes


LIBRARIES: dict[str, Callable[[], Codec]] = {
    "imagecodecs": of_imagecodecs,
    "pylibjxl": of_pylibjxl,
    "pyjpegxl": of_pyjpegxl,
    "lepton-jpeg-python": of_lepton,
}


def measure(library: str, path: Path) -> Measured:
    """Measure in a new process. Raises RuntimeError with its error output if it dies."""
    command = [sys.executable, "-m", "benchmarks.archive.one", library, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-3000:]}")
    return Measured(**json.loads(done.stdout))


def timed(work: Callable[[bytes], bytes], data: bytes) -> tuple[bytes, float, int]:
    """Return the result, the CPU time, and the peak of memory."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that stays resident would hide new allocations
    process.reset_peak()
    before, start = process.status_bytes("VmRSS") or 0, time.process_time()
    made = bytes(work(data))
    seconds = time.process_time() - start
    return made, seconds, max(0, (process.status_bytes("VmHWM") or 0) - before)


def main(library: str, name: str) -> None:
    """Measure in this process and print the result."""
    small = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(small, "JPEG")
    archive, unarchive = LIBRARIES[library]()
    unarchive(bytes(archive(small.getvalue())))
    data = Path(name).read_bytes()
    found = Measured(library=library, file=Path(name).name, bytes_in=len(data))
    try:
        made, archive_seconds, archive_peak = timed(archive, data)
        again, unarchive_seconds, unarchive_peak = timed(unarchive, made)
    except Exception as error:  # each library has its own
        found = Measured(library=library, file=found.file, bytes_in=len(data), problem=f"{error}"[:200])
    else:
        found = Measured(
            library=library, file=found.file, bytes_in=len(data), bytes_out=len(made), exact=again == data,
            archive_seconds=archive_seconds, unarchive_seconds=unarchive_seconds,
            archive_peak=archive_peak, unarchive_peak=unarchive_peak,
        )  # fmt: skip
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main(*sys.argv[1:])
