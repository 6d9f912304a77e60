"""Encoding of bands of pixels to entropy-coded data on all idle cores.

From the parts before it, a part of a band needs only the last DC coefficients, which `last_dc` computes without
encoding them. Its bits are appended to theirs by shifting (`huffman_encode.join`). No restart markers are needed, and
the bytes are the same whichever thread encodes which part.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.cores import cores
from compressor.jpeg.ahead import WorkAhead
from compressor.jpeg.encoder import Sequential, Transform, coded_bytes
from compressor.jpeg.frame import Frame
from compressor.jpeg.tables import Codes
from compressor.kernels.huffman_encode import HELD, NEXT_SEGMENT, PENDING, PRED, STATE, join
from compressor.kernels.mcu_row import SEGMENT, encode_band, encode_part, last_dc, segment_scratch
from compressor.tiles import Band, BandLifetime

PART_SEGMENTS_MAX = 384  # of a part: 4 ms of encoding; handing it over takes about 100 µs
PART_SEGMENTS_MIN = 24
COPIED_SEGMENTS_MAX = 32
PARTS_MIN = 4  # of the remaining segments, for each thread: parts shrink so that all threads end at about the same time
SEGMENT_BLOCKS = SEGMENT // 8 * 3  # at most
PART_BLOCKS = 1024  # whose bits a part has room for
OUT_BYTES = 2 * coded_bytes(PART_BLOCKS)
NO_BITS = np.zeros(2, np.int64)  # PENDING and HELD
# With REUSED, one of three threads makes bands for the two that encode them.
THREADS_MAX = {BandLifetime.STABLE: 8, BandLifetime.REUSED: 3, BandLifetime.SLOW_SOURCE: 1}


def threads(lifetime: BandLifetime) -> int:
    """Return how many threads may work on an image, including the caller's."""
    return min(cores.count, THREADS_MAX[lifetime])


def parts_max(lifetime: BandLifetime) -> int:
    """Return how many parts may exist at once: more than threads, so that no thread has to wait for the next."""
    count = threads(lifetime)
    return 0 if count == 1 else count + (2 if lifetime is BandLifetime.STABLE else 1)


def part_bytes(lifetime: BandLifetime) -> int:
    """Return the room for the bits of a part. What does not fit is encoded when the part is written."""
    return coded_bytes(2 * PART_BLOCKS if lifetime is BandLifetime.STABLE else PART_BLOCKS // 2)


def copy_bytes(frame: Frame, lifetime: BandLifetime) -> int:
    """Return the room for a copy of a part's pixels, 0 if none is needed."""
    copied = COPIED_SEGMENTS_MAX * SEGMENT * 8 * frame.v_max * len(frame.components)
    return 0 if lifetime is BandLifetime.STABLE else copied


def pixel_coder_bytes(frame: Frame, lifetime: BandLifetime) -> int:
    """Return the memory of all threads but the caller's: parts, and a workspace for each helper."""
    helper = sum(array.nbytes for array in segment_scratch()) + SEGMENT_BLOCKS * 64 * 2 + coded_bytes(SEGMENT_BLOCKS)
    parts = parts_max(lifetime) * (part_bytes(lifetime) + copy_bytes(frame, lifetime))
    return parts + (threads(lifetime) - 1) * helper


class CoderWorkspace:
    """The arrays that each thread needs for itself."""

    def __init__(self, transform: Transform) -> None:
        count = int((transform.segment[:, 1] * transform.segment[:, 3]).sum())
        self.scratch, self.blocks = segment_scratch(), np.empty((count, 64), np.int16)
        self.raw = np.empty(coded_bytes(count), np.uint8)


class BandPart:
    """Some segments of a band and their bits. The object is reused when these have been written.

    bits   not stuffed: `size` bytes
    state  of `encode_part`
    """

    done = False
    error: BaseException | None = None

    def __init__(self, frame: Frame, transform: Transform, codes: Codes, lifetime: BandLifetime) -> None:
        self._transform, self._codes, self._channels = transform, codes.arrays, len(frame.components)
        self.bits, self.state, self.size = np.empty(part_bytes(lifetime), np.uint8), np.zeros(STATE, np.int64), 0
        self._copy = np.empty(copy_bytes(frame, lifetime), np.uint8)

    def take(self, pixels: Band, first: int, count: int, state: NDArray[np.int64], workspace: CoderWorkspace) -> None:
        """Take `count` segments from segment `first` on, of each MCU row in `pixels`: whole rows, or a piece of one.

        state  in: PRED of the first segment; out: PRED of the segment after the last
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
        self.state[PRED:] = state[PRED:]
        self.state[PENDING] = self.state[HELD] = 0
        self.state[NEXT_SEGMENT] = self.start
        last_dc(
            pixels, self.stop - 1, (self.layout, transform.segment), transform.quantization,
            workspace.scratch, workspace.blocks, state,
        )  # fmt: skip

    def work(self, workspace: CoderWorkspace) -> None:
        """Encode as much as fits."""
        transform = self._transform
        self.size = encode_part(
            self.pixels, self.stop, (self.layout, transform.segment), transform.quantization, workspace.scratch,
            self._codes, (workspace.blocks, workspace.raw), self.state, self.bits,
        )  # fmt: skip

    @property
    def complete(self) -> bool:
        """True if all segments are encoded."""
        return int(self.state[NEXT_SEGMENT]) == self.stop


class PixelCoder(Sequential):
    """Encoding of pixels to one interleaved sequential scan, without storing coefficients.

    lifetime        of bands
    on_cpu_seconds  called with the CPU seconds of other threads
    """

    def __init__(
        self,
        frame: Frame,
        codes: Codes,
        transform: Transform,
        lifetime: BandLifetime = BandLifetime.REUSED,
        on_cpu_seconds: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        super().__init__(frame, codes)
        self.transform, self._frame, self._codes = transform, frame, codes
        self._lifetime, self._on_cpu_seconds = lifetime, on_cpu_seconds
        self._threads = threads(lifetime)
        self._parts_max = parts_max(lifetime)
        self._across = -(-8 * int(self.layout[0, 1]) // SEGMENT)
        self._segments_max = PART_SEGMENTS_MAX if lifetime is BandLifetime.STABLE else COPIED_SEGMENTS_MAX
        self._window: deque[BandPart] = deque()  # parts that were begun, in order
        self._spare: list[BandPart] = []

    def code_bands(self, bands: Iterable[Band]) -> Iterator[memoryview]:
        """Yield entropy-coded bytes; each piece is valid until the next one is requested.

        bands  (lines, width * components) uint8, each of whole MCU rows except the last
        """
        try:
            with WorkAhead(
                lambda: CoderWorkspace(self.transform), self._threads - 1, self._on_cpu_seconds, cores
            ) as ahead:
                yield from self._code(bands, ahead, np.empty(OUT_BYTES, np.uint8))
        finally:
            self._window.clear()
            self._spare.clear()
        yield self.last_bits()

    def _code(self, bands: Iterable[Band], ahead: WorkAhead[CoderWorkspace], out: Band) -> Iterator[memoryview]:
        left = self._frame.mcu_rows
        at_once = self._lifetime is not BandLifetime.STABLE  # the first bytes must not wait for a second band
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
                yield from self._band(band, ahead.workspace, out)
            left -= -(-len(band) // self.transform.lines)
            at_once = False
        yield from self._rest(ahead, out)

    def _cut(self, band: Band, left: int) -> Iterator[tuple[Band, int, int]]:
        """Yield whole MCU rows, first segment, segments of each row. `left` MCU rows remain from the band's first
        on."""
        top = 0
        while top < len(band):
            share = left * self._across // (PARTS_MIN * self._threads)
            size = max(PART_SEGMENTS_MIN, min(share, self._segments_max))
            step, rows = min(self._across, size), max(1, size // self._across)
            lines = self.transform.lines * rows
            for first in range(0, self._across, step):
                yield band[top : top + lines], first, min(step, self._across - first)
            top, left = top + lines, left - rows

    def _begin(self, ahead: WorkAhead[CoderWorkspace], pixels: Band, first: int, count: int) -> None:
        part = self._spare.pop() if self._spare else BandPart(self._frame, self.transform, self._codes, self._lifetime)
        part.take(pixels, first, count, self.state, ahead.workspace)
        self._window.append(part)
        ahead.add(part)

    def _rest(self, ahead: WorkAhead[CoderWorkspace], out: Band) -> Iterator[memoryview]:
        """Write all parts that were begun."""
        while self._window:
            yield from self._oldest(ahead, out)

    def _oldest(self, ahead: WorkAhead[CoderWorkspace], out: Band) -> Iterator[memoryview]:
        """Write the oldest part."""
        part = self._window[0]
        ahead.finish(part)
        while True:
            complete = part.complete
            size = join(part.bits, part.size, part.state if complete else NO_BITS, self.state, out)
            yield out[:size].data
            if complete:
                break
            part.work(ahead.workspace)
        self._spare.append(self._window.popleft())

    def _band(self, band: Band, workspace: CoderWorkspace, out: Band) -> Iterator[memoryview]:
        """Encode a whole band on the caller's thread."""
        transform = self.transform
        while True:
            size = encode_band(
                band, (self.layout, transform.segment), transform.quantization, workspace.scratch, self.codes,
                (workspace.blocks, workspace.raw), self.state, out,
            )  # fmt: skip
            yield out[:size].data
            if not self.state[NEXT_SEGMENT]:
                break
