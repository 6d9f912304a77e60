"""The peak memory of a conversion in a process of its own, above the memory of that process after a small conversion.

    python -m benchmarks.memory.peak compressor|pillow|vips SMALL SOURCE RESULT SETTINGS

SMALL, SOURCE  files of the same kind; SMALL is converted first, so that one-time costs do not count
SETTINGS       JSON with fields of `Settings`; other libraries use only `format`, jpeg or png

Prints {"peak_bytes", "reserved_bytes", "bytes_out", "seconds"} as JSON.
"""

import ctypes
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.harness import process

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class PeakMemory:
    """The memory and the time of a conversion.

    peak_bytes      VmHWM above the resident memory before the conversion
    reserved_bytes  the estimate from the header; 0 for other libraries
    """

    peak_bytes: int
    reserved_bytes: int
    bytes_out: int
    seconds: float


def measure(tool: str, small: Path, source: Path, result: Path, **settings: Any) -> PeakMemory:
    """Convert `source` to `result` in a new process. Raises RuntimeError with its error output if it fails."""
    words = [tool, str(small), str(source), str(result), json.dumps(settings)]
    command = [sys.executable, "-m", "benchmarks.memory.peak", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-3000:]}")
    return PeakMemory(**json.loads(done.stdout))


def own_bytes(name: str) -> int:
    """Return a field of /proc/self/status. Raises RuntimeError where it is not supported."""
    value = process.status_bytes(name)
    if value is None:
        raise RuntimeError(f"this system does not report {name} in /proc/self/status")
    return value


def by_compressor(source: Path, result: Path, settings: dict[str, Any]) -> int:
    """Convert a file by `compressor.stream`; return the bytes that it reserved."""
    import compressor
    from compressor.settings import Settings

    def chunks() -> Iterator[bytes]:
        with source.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    with result.open("wb") as file, compressor.stream(chunks(), Settings(**settings)) as stream:
        reserved = stream.source.reserved_bytes
        file.writelines(stream)
    return reserved


def by_pillow(source: Path, result: Path, settings: dict[str, Any]) -> int:
    """Open and save a file with Pillow at our default quality."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source) as image:
        image.save(result, settings["format"], quality=80)
    return 0


def by_vips(source: Path, result: Path, settings: dict[str, Any]) -> int:
    """Convert a file by libvips with sequential access and the defaults of its `jpegsave`."""
    import pyvips

    image = pyvips.Image.new_from_file(str(source), access="sequential")
    name = f"{result}.{settings['format']}"
    image.write_to_file(name, **({"Q": 80} if settings["format"] == "jpeg" else {}))
    Path(name).rename(result)
    return 0


TOOLS: dict[str, Callable[[Path, Path, dict[str, Any]], int]] = {
    "compressor": by_compressor,
    "pillow": by_pillow,
    "vips": by_vips,
}


def main(tool: str, small: str, source: str, result: str, settings: str) -> None:
    """Measure in this process and print the result."""
    convert, target, chosen = TOOLS[tool], Path(result), json.loads(settings)
    for _ in range(2):
        convert(Path(small), target, chosen)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # freed memory that stays resident would hide new allocations
    process.reset_peak()
    before, start = own_bytes("VmRSS"), time.perf_counter()
    reserved = convert(Path(source), target, chosen)
    seconds = time.perf_counter() - start
    peak = max(0, own_bytes("VmHWM") - before)
    print(json.dumps(vars(PeakMemory(peak, reserved, target.stat().st_size, seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
