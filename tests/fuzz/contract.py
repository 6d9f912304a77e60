"""The contract for any file: one of our errors with an offset, or a result that libjpeg and libpng decode equally."""

import hashlib
import io
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

import compressor
from compressor.bytestream import ByteStream
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.jpeg import reader as jpeg
from compressor.jpeg.scans import Scans
from compressor.memory import Resources
from compressor.png import reader as png
from compressor.png.metadata import read_metadata
from compressor.sniff import PREFIX, sniff
from compressor.spool import BytesSource, Spool
from tests.reference import huffman, pngfilter

SECONDS_MAX = 2.0
MEMORY_BYTES = 64 << 20  # the budget; files that need more exceed a limit
MESSAGE_MAX = 400
COMPARED_PIXELS_MAX = 1 << 20
EXPECTED = (FormatError, UnsupportedError, LimitError)
# Without it the result is smaller than the source, so that it is returned.
BALLAST_BYTES = 8000
COMMENT = huffman.segment(0xFE, bytes(BALLAST_BYTES))
TEXT = pngfilter.chunk(b"tEXt", b"Comment\0" + bytes(1).replace(b"\0", b" ") * BALLAST_BYTES)


class Broken(AssertionError):  # noqa: N818
    """A violation of the contract."""


class Contract:
    """Checks files, counts the outcomes, and digests them: the same kernels have the same digest."""

    def __init__(self) -> None:
        self.resources = Resources(memory_budget=MEMORY_BYTES)
        self.counts: dict[str, int] = {}
        self.slowest = 0.0
        self.digest = hashlib.sha256()

    def check(self, kind: str, data: bytes, number: int = 0) -> None:
        """Check a file; raises Broken. number: of the file; some operations are run on every fourth file only."""
        ways = {"jpeg": self._jpeg_ways, "png": self._png_ways}[kind](data, number)
        for name, way in ways.items():
            start = time.process_time()
            result = self._outcome(name, data, way)
            seconds = time.process_time() - start
            self.slowest = max(self.slowest, seconds)
            if seconds > SECONDS_MAX:
                raise Broken(f"{name}: took {seconds:.1f} s")
            if self.resources.reserved_bytes or self.resources.spooled_bytes:
                raise Broken(f"{name}: memory or disk was not given back")
            if isinstance(result, compressor.Result):
                self._check_result(name, data, result, exact=name.endswith("exact"))

    def _outcome(self, name: str, data: bytes, way: Callable[[], Any]) -> Any:
        """Return the result of an operation, or None where it ends in a permitted error."""
        try:
            result = way()
        except EXPECTED as error:
            problem = str(error)
            if "\n" in problem or not problem or len(problem) > MESSAGE_MAX or not problem.isprintable():
                raise Broken(f"{name}: the message {problem!r}") from error
            if isinstance(error, FormatError):
                if not error.place or (error.offset is None and not _may_be_nowhere(error)):
                    raise Broken(f"{name}: does not say where: {error}") from error
                if error.offset is not None and not 0 <= error.offset <= len(data) + len(COMMENT) + len(TEXT):
                    raise Broken(f"{name}: says where there is nothing: {error}") from error
            self._count(f"{name} {type(error).__name__}")
            self.digest.update(f"{name} {error}\n".encode())
            return None
        except CompressorError as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}") from error
        except Exception as error:
            raise Broken(f"{name}: {type(error).__name__}: {error}") from error
        self._count(f"{name} fine")
        self.digest.update(f"{name}\n".encode() + (result.data if isinstance(result, compressor.Result) else b""))
        return result

    def _count(self, outcome: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def _compress(self, data: bytes, **settings: Any) -> Callable[[], Any]:
        return lambda: compressor.compress(data, resources=self.resources, **settings)

    def _jpeg_ways(self, data: bytes, number: int) -> dict[str, Callable[[], Any]]:
        loaded = data[:2] + COMMENT + data[2:]
        ways = {
            "exact": self._compress(loaded, lossless=True, metadata="strip"),
            "coefficients": self._compress(data, quality=30, effort="fast"),
        }
        match number % 4:
            case 0:
                ways["inspect"] = lambda: compressor.inspect([data], resources=self.resources)
                ways["Pillow, to PNG"] = self._compress(data, format="png", effort="fast")
            case 1:
                ways["reader"] = lambda: _read_jpeg(data, 1 + number % 101)
                ways["color kept"] = self._compress(data, lossless=True, metadata="color", min_saving=0.9)
            case 2:
                ways["stripped"] = self._compress(data, lossless=True, metadata="strip", min_saving=0.9)
                ways["at once"] = self._compress(data, quality=50, effort="fast", delivery="immediate")
        return ways

    def _png_ways(self, data: bytes, number: int) -> dict[str, Callable[[], Any]]:
        loaded = data[:33] + TEXT + data[33:]
        ways = {
            "exact": self._compress(loaded, effort="fast", metadata="strip"),
            "to JPEG": self._compress(data, format="jpeg", effort="fast", background=(255, 0, 0)),
        }
        match number % 4:
            case 0:
                ways["inspect"] = lambda: compressor.inspect([data], resources=self.resources)
                ways["at once"] = self._compress(data, effort="fast", delivery="immediate")
            case 1:
                ways["reader"] = lambda: _read_png(data, 1 + number % 101, self.resources)
                ways["color kept"] = self._compress(data, effort="fast", metadata="color", min_saving=0.9)
            case 2:
                ways["stripped"] = self._compress(data, effort="fast", metadata="strip", min_saving=0.9)
        return ways

    def _check_result(self, name: str, data: bytes, result: compressor.Result, *, exact: bool) -> None:
        if "defect" in result.report.reason:
            raise Broken(f"{name}: {result.report.reason}")
        if result.report.bytes_out != len(result.data):
            raise Broken(f"{name}: the report says {result.report.bytes_out} of {len(result.data)} bytes")
        if not exact and name not in ("color kept", "stripped"):
            return
        before = pixels(data)
        if before is None or _smoothed(data) or any(notice.startswith("tRNS") for notice in result.report.notices):
            return  # libpng passes over a tRNS that is out of place, Pillow does not
        after = pixels(result.data)
        self._count(f"{name} compared")
        if after is None:
            raise Broken(f"{name}: a file that Pillow reads became one that it does not")
        if before.shape != after.shape or not np.array_equal(before, after):
            raise Broken(f"{name}: Pillow sees other pixels than in the source; {'; '.join(result.report.notices)}")


def _may_be_nowhere(error: FormatError) -> bool:
    """Return whether an error needs no offset: one of Pillow, or a DC coefficient that overflows over several scans."""
    return error.place in ("header", "pixels") or "DC coefficient" in error.problem


def _smoothed(data: bytes) -> bool:
    """Return whether libjpeg smooths an incomplete progressive file (decompress_smooth_data in jdcoefct.c): pixels then
    depend on the scans that the file has, not on the coefficients alone."""
    if not data.startswith(b"\xff\xd8"):
        return False
    header = jpeg.read_header(ByteStream([data]))
    return not header.obstacle and not header.streams and bool(Scans(BytesSource(data), header).lacking)


def pixels(data: bytes) -> np.ndarray | None:
    """Return the pixels that Pillow decodes, or None for large files and where it raises or warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
                if image.width * image.height > COMPARED_PIXELS_MAX:
                    return None
                image.load()
                return np.asarray(image.convert("RGBA") if image.mode == "P" else image)
        except Exception:
            return None


def _read_jpeg(data: bytes, chunk: int) -> None:
    """Read a JPEG with the reader alone, in small chunks."""
    sniff(data[:PREFIX])
    stream = ByteStream(data[at : at + chunk] for at in range(0, len(data), chunk))
    header = jpeg.read_header(stream)
    rows = jpeg.read_slabs(stream, header) if header.streams else Scans(BytesSource(data), header).slabs()
    for _ in rows:
        pass


def _read_png(data: bytes, chunk: int, resources: Resources) -> None:
    """Read scanlines, pixels and metadata of a PNG in small chunks."""
    sniff(data[:PREFIX])
    stream = ByteStream(data[at : at + chunk] for at in range(0, len(data), chunk))
    header = png.read_header(stream)
    if header.row_bytes > 1 << 16:
        return
    with _Spools(resources) as spool:
        for rows in png.scanlines(stream, header, 3, spool):
            png.to_pixels(header, rows)
    read_metadata(header)


class _Spools:
    """A factory of spools, which are all closed on exit."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._made: list[Spool] = []

    def __enter__(self) -> Callable[[], Spool]:
        def spool() -> Spool:
            self._made.append(self._resources.spool())
            return self._made[-1]

        return spool

    def __exit__(self, *_: object) -> None:
        for spool in self._made:
            spool.close()
