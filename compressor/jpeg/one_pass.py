"""Sequential JPEG in one pass, with given codes."""

from collections.abc import Callable, Iterable, Iterator

from compressor.jpeg.encoder import Sequential, Transform
from compressor.jpeg.frame import Frame, Slab
from compressor.jpeg.parallel import PixelCoder
from compressor.jpeg.tables import Codes
from compressor.tiles import Band, BandLifetime


class OnePassPixels:
    """Encoding of pixels in one pass, with output from the first slab on.

    codes           with a code for every symbol
    bands           (lines, width * components) uint8, each of whole MCU rows except the last
    lifetime        of bands
    on_cpu_seconds  called with the CPU seconds of other threads
    """

    def __init__(
        self,
        frame: Frame,
        transform: Transform,
        codes: Codes,
        bands: Iterable[Band],
        lifetime: BandLifetime = BandLifetime.REUSED,
        on_cpu_seconds: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.codes = codes
        self._coder = PixelCoder(frame, codes, transform, lifetime, on_cpu_seconds)
        self._bands = bands

    def prepare(self) -> None:
        """Do nothing: output needs no preparation."""

    def body(self) -> Iterator[memoryview]:
        """Yield the entropy-coded data."""
        return self._coder.code_bands(self._bands)


class OnePassSlabs:
    """Encoding of slabs in one pass, with codes for every symbol, including DC category 12."""

    def __init__(self, frame: Frame, codes: Codes, slabs: Iterable[Slab]) -> None:
        self.codes = codes
        self._coder = Sequential(frame, codes)
        self._slabs = slabs

    def prepare(self) -> None:
        """Do nothing: output needs no preparation."""

    def body(self) -> Iterator[memoryview]:
        """Yield the entropy-coded data."""
        return self._coder.code_slabs(self._slabs)
