"""A sequential JPEG in the making: one pass with given codes, or two passes with codes made for the image."""

from collections.abc import Callable, Iterable, Iterator

from compressor.jpeg.encoder import Row, Sequential, Statistics, Transform
from compressor.jpeg.frame import Frame
from compressor.jpeg.parallel import PixelCoder
from compressor.jpeg.spooled import SpooledRows
from compressor.jpeg.tables import Codes, optimal_codes, standard_codes_for_any_dc
from compressor.memory import Spool
from compressor.tiles import Band


class OnePassPixels:
    """Pixels → bytes, one pass: output from the first MCU row on.

    codes    with a code for every symbol
    bands    (lines, width * components) uint8, whole MCU rows each but for the last
    lasting  whether a band stays as it is when the next one is asked for
    spent    told of the CPU seconds that other threads took
    """

    def __init__(
        self,
        frame: Frame,
        transform: Transform,
        codes: Codes,
        bands: Iterable[Band],
        lasting: bool = False,
        spent: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self.codes = codes
        self._coder = PixelCoder(frame, codes, transform, lasting, spent)
        self._bands = bands

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_bands(self._bands)


class TwoPass:
    """Coefficient rows → spool and statistics → bytes with the codes that are best for them."""

    codes: Codes

    def __init__(self, frame: Frame, rows: Iterable[Row], spool: Callable[[], Spool]) -> None:
        self._frame, self._rows = frame, rows
        self._spooled = SpooledRows(frame, spool)

    def prepare(self) -> None:
        """The first pass."""
        statistics = Statistics(self._frame)
        for row in self._rows:
            statistics.add(row)
            self._spooled.add(row)
        self.codes = optimal_codes(statistics.counts)

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data: the second pass."""
        return Sequential(self._frame, self.codes).code_rows(self._spooled.rows())


class OnePassRows:
    """Coefficient rows → bytes, one pass, with codes that have a code for every symbol."""

    def __init__(self, frame: Frame, rows: Iterable[Row]) -> None:
        self.codes = standard_codes_for_any_dc(len(frame.components))
        self._coder = Sequential(frame, self.codes)
        self._rows = rows

    def prepare(self) -> None:
        """Nothing to do before the first byte."""

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data."""
        return self._coder.code_rows(self._rows)
