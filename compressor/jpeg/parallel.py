"""Bands of pixels → entropy-coded data, on all cores that are idle.

A part of a band needs to know of those before it only their last DC coefficients, which `last_dc` finds without coding
them. Its bits are joined to theirs by shifting (`huffman_encode.join`): no restart markers, and the bytes are the same
whoever codes what.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.cores import cores
from compressor.jpeg.ahead import WorkAhead
from compressor.jpeg.encoder import CODED_BLOCKS, Sequential, Transform, coded_bytes, padding
from compressor.jpeg.frame import Frame
from compressor.jpeg.tables import Codes
from compressor.kernels.huffman_encode import join
from compressor.kernels.mcu_row import SEGMENT, encode_band, encode_part, last_dc, scratch
from compressor.tiles import Band, BandLifetime

PART_SEGMENTS_MAX = 384  # of a part: 4 ms of coding; to hand it over takes some 100 µs
PART_SEGMENTS_MIN = 24
COPIED_SEGMENTS_MAX = 32
PARTS_MIN = 4  # of what is left, for each thread: parts become smaller, so that all end at about the same time
SEGMENT_BLOCKS = SEGMENT // 8 * 3  # at most
OUT_BYTES = 2 * coded_bytes(CODED_BLOCKS)
NO_BITS = np.zeros(2, np.int64)


THREADS_MAX = {
    BandLifetime.LASTING: 8,
    BandLifetime.REUSED: 3,
    BandLifetime.SLOW: 1,
}  # of three one makes bands, for two that code


def threads(come: BandLifetime) -> int:
    """How many may work on an image, the caller's among them."""
    return min(cores.count, THREADS_MAX[come])


def parts_max(come: BandLifetime) -> int:
    """How many parts may be there at once: more than threads, so that none has to wait for the next."""
    count = threads(come)
    return 0 if count == 1 else count + (2 if come is BandLifetime.LASTING else 1)


def part_bytes(come: BandLifetime) -> int:
    """Room for the bits of a part; what does not fit follows when its turn has come."""
    return coded_bytes(2 * CODED_BLOCKS if come is BandLifetime.LASTING else CODED_BLOCKS // 2)


def copy_bytes(frame: Frame, come: BandLifetime) -> int:
    """Room for the pixels of a part."""
    copied = COPIED_SEGMENTS_MAX * SEGMENT * 8 * frame.v_max * len(frame.components)
    return 0 if come is BandLifetime.LASTING else copied


def memory_bytes(frame: Frame, come: BandLifetime) -> int:
    """What more than one thread takes: parts, and what each helper needs for itself."""
    helper = sum(array.nbytes for array in scratch()) + SEGMENT_BLOCKS * 64 * 2 + coded_bytes(SEGMENT_BLOCKS)
    parts = parts_max(come) * (part_bytes(come) + copy_bytes(frame, come))
    return parts + (threads(come) - 1) * helper


class Tools:
    """What each thread needs for itself."""

    def __init__(self, transform: Transform) -> None:
        count = int((transform.segment[:, 1] * transform.segment[:, 3]).sum())
        self.scratch, self.blocks = scratch(), np.empty((count, 64), np.int16)
        self.raw = np.empty(coded_bytes(count), np.uint8)


class Part:
    """Some segments of a band on their way to bits; used again for others when these have been written.

    bits   not stuffed: `size` bytes
    state  as of `encode_part`
    """

    done = False
    error: BaseException | None = None

    def __init__(self, frame: Frame, transform: Transform, codes: Codes, come: BandLifetime) -> None:
        self._transform, self._codes, self._channels = transform, codes.arrays, len(frame.components)
        self.bits, self.state, self.size = np.empty(part_bytes(come), np.uint8), np.zeros(8, np.int64), 0
        self._copy = np.empty(copy_bytes(frame, come), np.uint8)

    def take(self, pixels: Band, first: int, count: int, state: NDArray[np.int64], tools: Tools) -> None:
        """Begin with `count` segments of each of some MCU rows, from segment `first` on: all of a row, or some of one.

        state  PRED in [2:]: of the first segment, and then of the one that comes next
        """
        transform = self._transform
        self.layout, self.start = transform.layout, first
        if self._copy.size:
            step = SEGMENT * self._channels
            view = pixels[:, first * step : (first + count) * step]
            pixels = self._copy[: view.size].reshape(view.shape)
            pixels[...] = view
            blocks = int(transform.layout[0, 1]) - first * SEGMENT // 8
            self.layout, self.start = transform.layout.copy(), 0
            self.layout[0, 1] = min(blocks, count * SEGMENT // 8)
        self.pixels, self.stop = pixels, self.start + count * -(-len(pixels) // transform.lines)
        self.state[:2], self.state[2:], self.state[7] = 0, state[2:], self.start
        last_dc(
            pixels, self.stop - 1, self.layout, transform.segment, transform.reciprocal, transform.slope,
            tools.scratch, tools.blocks, state,
        )  # fmt: skip

    def work(self, tools: Tools) -> None:
        """Code as much as fits."""
        transform = self._transform
        self.size = encode_part(
            self.pixels, int(self.state[7]), self.stop, self.layout, transform.segment, transform.reciprocal,
            transform.slope, tools.scratch, tools.blocks, *self._codes, self.state, tools.raw, self.bits,
        )  # fmt: skip

    @property
    def complete(self) -> bool:
        return int(self.state[7]) == self.stop


class PixelCoder(Sequential):
    """One interleaved sequential scan of pixels, coded without a stop at the coefficients.

    come   how bands do
    spent  told of the CPU seconds that other threads took
    """

    def __init__(
        self,
        frame: Frame,
        codes: Codes,
        transform: Transform,
        come: BandLifetime = BandLifetime.REUSED,
        spent: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        super().__init__(frame, codes)
        self.transform, self._frame, self._codes = transform, frame, codes
        self._come, self._spent = come, spent
        self._threads = threads(come)
        self._parts_max = parts_max(come)
        self._across = -(-8 * int(self.layout[0, 1]) // SEGMENT)
        self._segments_max = PART_SEGMENTS_MAX if come is BandLifetime.LASTING else COPIED_SEGMENTS_MAX
        self._window: deque[Part] = deque()  # those that were begun, in order
        self._spare: list[Part] = []

    def code_bands(self, bands: Iterable[Band]) -> Iterator[memoryview]:
        """Entropy-coded bytes; each piece is valid until the next one is asked for.

        bands  (lines, width * components) uint8, whole MCU rows each but for the last
        """
        try:
            with WorkAhead(lambda: Tools(self.transform), self._threads - 1, self._spent, cores) as ahead:
                yield from self._code(bands, ahead, np.empty(OUT_BYTES, np.uint8))
        finally:
            self._window.clear()
            self._spare.clear()
        yield memoryview(padding(*self.state[:2].tolist()))

    def _code(self, bands: Iterable[Band], ahead: WorkAhead[Tools], out: Band) -> Iterator[memoryview]:
        left, at_once = (
            self._frame.mcu_rows,
            self._come is not BandLifetime.LASTING,
        )  # the first bytes wait for no second band
        for band in bands:
            while self._window and self._window[0].done:
                yield from self._oldest(ahead, out)
            alone = not self._window and left * self._across <= PART_SEGMENTS_MIN
            if ahead.possible and not alone and not at_once:
                for pixels, first, count in self._cut(band, left):
                    while len(self._window) >= self._parts_max:
                        yield from self._oldest(ahead, out)
                    self._begin(ahead, pixels, first, count)
            else:
                yield from self._rest(ahead, out)
                yield from self._band(band, ahead.tools, out)
            left -= -(-len(band) // self.transform.lines)
            at_once = False
        yield from self._rest(ahead, out)

    def _cut(self, band: Band, left: int) -> Iterator[tuple[Band, int, int]]:
        """Whole MCU rows, first segment, segments of each row; `left` rows from the beginning of the band on."""
        top = 0
        while top < len(band):
            share = left * self._across // (PARTS_MIN * self._threads)
            size = max(PART_SEGMENTS_MIN, min(share, self._segments_max))
            step, rows = min(self._across, size), max(1, size // self._across)
            lines = self.transform.lines * rows
            for first in range(0, self._across, step):
                yield band[top : top + lines], first, min(step, self._across - first)
            top, left = top + lines, left - rows

    def _begin(self, ahead: WorkAhead[Tools], pixels: Band, first: int, count: int) -> None:
        part = self._spare.pop() if self._spare else Part(self._frame, self.transform, self._codes, self._come)
        part.take(pixels, first, count, self.state, ahead.tools)
        self._window.append(part)
        ahead.add(part)

    def _rest(self, ahead: WorkAhead[Tools], out: Band) -> Iterator[memoryview]:
        """All parts that were begun."""
        while self._window:
            yield from self._oldest(ahead, out)

    def _oldest(self, ahead: WorkAhead[Tools], out: Band) -> Iterator[memoryview]:
        """The part whose turn it is."""
        part = self._window[0]
        ahead.finish(part)
        while True:
            complete = part.complete
            size = join(part.bits, part.size, part.state if complete else NO_BITS, self.state, out)
            yield out[:size].data
            if complete:
                break
            part.work(ahead.tools)
        self._spare.append(self._window.popleft())

    def _band(self, band: Band, tools: Tools, out: Band) -> Iterator[memoryview]:
        """A band as a whole, by the caller."""
        transform, start = self.transform, 0
        while start >= 0:
            size = encode_band(
                band, start, self.layout, transform.segment, transform.reciprocal, transform.slope,
                tools.scratch, tools.blocks, *self.codes, self.state, tools.raw, out,
            )  # fmt: skip
            yield out[:size].data
            start = int(self.state[7])
