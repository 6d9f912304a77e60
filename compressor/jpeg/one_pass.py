"""A sequential JPEG in one pass, with given codes."""

from collections.abc import Callable, Iterable, Iterator

from compressor.jpeg.encoder import Row, Sequential, Transform
from compressor.jpeg.frame import Frame
from compressor.jpeg.parallel import PixelCoder
from compressor.jpeg.tables import Codes
from compressor.tiles import Band, BandLifetime


class OnePassPixels:
    """Pixels → bytes, one pass: output from the first MCU row on.

    codes  with a code for every symbol
    bands  (lines, width * components) uint8, whole MCU rows each but for the last
    come   how they do
    spent  told of the CPU seconds that other threads took
    """

    def __init__(
        self,
        frame: Frame,
        transform: Transform,
        codes: Codes,
        bands: Iterable[Band],
        come: BandLifetime = BandLifetime.REUSED,
        spent: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.codes = codes
        self._coder = PixelCoder(frame, codes, transform, come, spent)
        self._bands = bands

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_bands(self._bands)


class OnePassRows:
    """Coefficient rows → bytes, one pass, with codes for every symbol, that of DC category 12 among them."""

    def __init__(self, frame: Frame, codes: Codes, rows: Iterable[Row]) -> None:
        self.codes = codes
        self._coder = Sequential(frame, codes)
        self._rows = rows

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_rows(self._rows)
