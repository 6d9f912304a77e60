"""Scores of visual quality, kept between runs by the digests of both images and the version of the judge."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from PIL import Image

from benchmarks.harness.fidelity import Pixels
from benchmarks.harness.judges import BY_NAME, Pair
from compressor.atomic_write import AtomicFile, temporary_name


def digest(pixels: Pixels) -> str:
    """Return a digest of an image's shape and samples."""
    return hashlib.sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:24]


class Scores:
    """Scores of results against one source by several judges. None scores an image twice.

    folder  has a cache file for each source; None: no cache
    names   of the judges
    """

    def __init__(self, source: Pixels, folder: Path | None, names: Sequence[str]) -> None:
        self._work = tempfile.TemporaryDirectory(prefix="scores-")
        self._source = source
        self._paths = Path(self._work.name) / "source.ppm", Path(self._work.name) / "result.ppm"
        Image.fromarray(source).save(self._paths[0])
        self._keys = {name: f"{name} {BY_NAME[name].version()}".strip() for name in names}
        self._file = None if folder is None else folder / f"scores-{digest(source)}.json"
        self._known: dict[str, dict[str, float]] = {}
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

    def score(self, result: Pixels) -> dict[str, float]:
        """Return every judge's own figure of a result, by name."""
        known = self._known.setdefault(digest(result), {})
        missing = [name for name, key in self._keys.items() if key not in known]
        if missing:
            Image.fromarray(result).save(self._paths[1])
            pair = Pair(self._source, result, *self._paths)
            known.update({self._keys[name]: BY_NAME[name].compare(pair) for name in missing})
        return {name: known[key] for name, key in self._keys.items()}
