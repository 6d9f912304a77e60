"""The peak memory of one conversion in a process of its own, above what that process had after a small one.

    python -m benchmarks.memory.peak compressor|pillow|vips SMALL SOURCE RESULT SETTINGS

SMALL, SOURCE  files of the same kind; SMALL is converted first, for what happens once in a process
SETTINGS       JSON: fields of `Settings`; to peers their `format` says jpeg or png
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

CHUNK_BYTES = 1 << 16
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Peak:
    """What a conversion took.

    peak_bytes      VmHWM above the resident memory before it
    reserved_bytes  what the header says that it takes; 0 for peers
    """

    peak_bytes: int
    reserved_bytes: int
    bytes_out: int
    seconds: float


def measure(tool: str, small: Path, source: Path, result: Path, **settings: Any) -> Peak:
    """Convert `source` to `result` in a new process. Raises RuntimeError with what it said, where it failed."""
    words = [tool, str(small), str(source), str(result), json.dumps(settings)]
    command = [sys.executable, "-m", "benchmarks.memory.peak", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr[-3000:]}")
    return Peak(**json.loads(done.stdout))


def status_bytes(name: str) -> int:
    """A field of /proc/self/status."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith(f"{name}:"))


def by_compressor(source: Path, result: Path, settings: dict[str, Any]) -> int:
    """`compressor.stream` from a file to a file; the bytes that it reserved."""
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
    """Pillow: opened and saved, at the quality that we have by default."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(source) as image:
        image.save(result, settings["format"], quality=80)
    return 0


def by_vips(source: Path, result: Path, settings: dict[str, Any]) -> int:
    """libvips, told that rows are read in order; encodes JPEG as its `jpegsave` does by default."""
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
    """Measure in this process."""
    convert, target, chosen = TOOLS[tool], Path(result), json.loads(settings)
    for _ in range(2):
        convert(Path(small), target, chosen)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # memory that is free already would hide what is taken
    Path("/proc/self/clear_refs").write_text("5")  # a new VmHWM from here on, proc(5)
    before, start = status_bytes("VmRSS"), time.perf_counter()
    reserved = convert(Path(source), target, chosen)
    seconds = time.perf_counter() - start
    peak = max(0, status_bytes("VmHWM") - before)
    print(json.dumps(vars(Peak(peak, reserved, target.stat().st_size, seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
