"""Scores of visual quality, SSIMULACRA2 and butteraugli, cached between runs.

SSIMULACRA2 is the PyPI package `ssimulacra2`, butteraugli the 3-norm of libjxl's `butteraugli_main`, if that is
installed (Debian: libjxl-devtools).
"""

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from PIL import Image

from benchmarks.harness import record
from benchmarks.harness.fidelity import Pixels
from compressor.atomic_write import AtomicFile, temporary_name

BUTTERAUGLI = "butteraugli_main"
THREE_NORM = re.compile(r"^3-norm: ([0-9.]+)$", re.MULTILINE)


def has_butteraugli() -> bool:
    """Return whether butteraugli's program is installed."""
    return shutil.which(BUTTERAUGLI) is not None


def digest(pixels: Pixels) -> str:
    """Return a digest of an image's shape and samples."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:24]


def ssimulacra2(source: Path | BinaryIO, result: Path | BinaryIO) -> float:
    """Compare two image files: 100 means that they are identical."""
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(source, result))


class Scores:
    """Scores of results against one source. An image is scored only once.

    folder  has a cache file for each source; None: no cache
    """

    def __init__(self, source: Pixels, folder: Path | None) -> None:
        self._work = tempfile.TemporaryDirectory(prefix="scores-")
        self._paths = Path(self._work.name) / "source.ppm", Path(self._work.name) / "result.ppm"
        Image.fromarray(source).save(self._paths[0])
        version = record.version("ssimulacra2")
        self._file = None if folder is None else folder / f"scores-{digest(source)}-ssimulacra2-{version}.json"
        self._known: dict[str, list[float | None]] = {}
        if self._file is not None and self._file.exists():
            self._known = json.loads(self._file.read_text())

    def __enter__(self) -> "Scores":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write the cache, even if the run is interrupted."""
        self._work.cleanup()
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with AtomicFile(temporary_name(self._file.parent)) as file:
                file.open().write(json.dumps(self._known).encode())
                file.publish(self._file)

    def score(self, result: Pixels) -> tuple[float, float | None]:
        """Return the SSIMULACRA2 of a result, and butteraugli's 3-norm if its program is installed."""
        name = digest(result)
        known = self._known.get(name, [None, None])
        if known[0] is None or (known[1] is None and has_butteraugli()):
            Image.fromarray(result).save(self._paths[1])
            known = [known[0] or ssimulacra2(*self._paths), self._butteraugli() if has_butteraugli() else None]
            self._known[name] = known
        assert known[0] is not None
        return known[0], known[1]

    def butteraugli(self, result: Pixels) -> float:
        """Return butteraugli's 3-norm of a result; it is not kept."""
        Image.fromarray(result).save(self._paths[1])
        return self._butteraugli()

    def _butteraugli(self) -> float:
        command = [BUTTERAUGLI, *map(str, self._paths), "--pnorm", "3"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = THREE_NORM.search(done.stdout)
        if found is None:
            raise ValueError(f"no 3-norm in the output of {BUTTERAUGLI}: {done.stdout[:200]!r}")
        return float(found[1])
