"""Reading of sequential JPEGs, one slab of coefficients at a time, from chunks of any size (T.81 E.2.2 to E.2.4,
F.2).

header = read_header(stream)
if header.streams:
    for slab in read_slabs(stream, header): ...

Files with several scans are for `scans`.
"""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, UnsupportedError
from compressor.jpeg.frame import Frame, Header, Scan, Slab
from compressor.jpeg.headers import finish_image, read_header
from compressor.jpeg.markers import NO_EOI, marker_name
from compressor.kernels import huffman_decode as kernel

__all__ = ["EntropyReader", "read_header", "read_slabs"]

REMEMBERED_BYTES = 1 << 17  # after the last MCU, in which EOI is searched
CACHED_TABLES = 16  # sets of decoding tables that a process keeps, 33 KiB each or less
# Bytes of the file that are read at once, and restart markers in them; more are left in the stream. Copies of 64 KiB
# would be mapped by the C allocator, see `scratch`.
WINDOW = (1 << 15, 1024)


def read_slabs(stream: ByteStream, header: Header) -> Iterator[Slab]:
    """Yield slabs from top to bottom; the array is reused for each.

    `stream` must be at the position where `read_header` left it. After the last slab, the rest of the image up to EOI
    is read: `header.trailing` and `header.notices` are then complete, and bytes after EOI are still in the stream.
    """
    if not header.streams:
        raise UnsupportedError(f"JPEG with {header.obstacle or 'several scans, read as it arrives'}")
    frame = header.frame
    reader = EntropyReader(stream, header)
    slab = frame.new_slab()
    for row in range(0, frame.mcu_rows, frame.slab_rows):
        part = slab[: min(frame.slab_rows, frame.mcu_rows - row) * frame.blocks_per_row]
        reader.read_slab(part, row)
        yield part
    after = reader.after_scan()
    header.scan_ends.append(stream.offset - len(after))
    stream.mark(after, REMEMBERED_BYTES)
    notices = len(header.notices)
    try:
        reader.finish()
        finish_image(stream, header)
        stream.clear_mark()
    except FormatError:
        # All MCUs are complete: bytes instead of EOI are not part of the image. libjpeg inserts one (JWRN_JPEG_EOF).
        if stream.reset():
            del header.notices[notices:]
        elif stream.peek(1):
            raise
        header.notices.append(NO_EOI)


TableSpecs = tuple[tuple[bool, bytes, bytes], ...]  # of each table: whether it is for AC, BITS, HUFFVAL
DecodingTables = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint8]]


def empty_tables(specs: TableSpecs, bits: int) -> DecodingTables:
    """Return lookup, limits and huffval, of which only huffval is filled."""
    huffval = np.zeros((len(specs), 256), np.uint8)
    for n, (_, _, symbols) in enumerate(specs):
        huffval[n, : len(symbols)] = np.frombuffer(symbols, np.uint8)
    return np.zeros((len(specs), 1 << bits), np.int32), np.zeros((len(specs), 2, 17), np.int32), huffval


@lru_cache(CACHED_TABLES)
def decoding_tables(specs: TableSpecs) -> DecodingTables:
    """Return the tables of `kernels.huffman_decode`, which must not be changed."""
    lookup, limits, huffval = empty_tables(specs, kernel.BITS)
    for n, (ac, bits, _) in enumerate(specs):
        kernel.build_table(np.frombuffer(bits, np.uint8), ac, n, huffval, lookup, limits)
    return lookup, limits, huffval


def scan_plan(
    frame: Frame, scan: Scan, tables: dict[tuple[int, int], int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the blocks of an MCU in the order of A.2.3, and the first block of each line of MCUs in a slab, as
    `decode_mcus` requires. In a scan of one component MCUs are single blocks (A.2.2), and a row has a line of them for
    each line of blocks."""
    rows = np.arange(0, frame.slab_blocks, frame.blocks_per_row)
    layout = frame.layout.tolist()
    if len(scan.components) == 1:
        index, td, ta = scan.components[0]
        first, per_line, _, v = layout[index]
        plan = [(0, 1, index, tables.get((0, td), 0), tables.get((1, ta), 0))]
        return np.array(plan, np.int64), (rows[:, None] + first + np.arange(v) * per_line).ravel()
    plan = []
    for index, td, ta in scan.components:
        first, per_line, h, v = layout[index]
        dc, ac = tables.get((0, td), 0), tables.get((1, ta), 0)
        for line in range(v):
            for column in range(h):
                plan.append((first + line * per_line + column, h, index, dc, ac))
    return np.array(plan, np.int64), rows


class EntropyReader:
    """A decoder of the entropy-coded segments of one scan. It holds only a window of the file, without stuffed bytes.

    Missing or damaged data is an error. libjpeg continues with zeros (jpeg_fill_bit_buffer in jdhuff.c), so that
    viewers show something. A result that replaces its source must not have grey where more might be recovered.

    name    of the scan, for messages
    window  bytes of the file that are read at once, and the largest number of restart markers in them
    last    whether `after_scan` or `end_offset` will be called
    """

    _decode: Any = staticmethod(kernel.decode_mcus)
    _state_size = kernel.STATE

    def __init__(
        self,
        stream: ByteStream,
        header: Header,
        name: str = "the scan",
        window: tuple[int, int] = WINDOW,
        last: bool = True,
    ) -> None:
        self._stream, self._last = stream, last
        self._header = header
        self._name = name
        self._window_bytes, marks = window
        frame, scan = header.frame, header.scan
        used = self._tables(scan)
        self._decoding_tables = self._build(tuple([(tc == 1, *header.huffman[tc, th]) for tc, th in used]))
        self._plan, self._lines = scan_plan(frame, scan, {key: n for n, key in enumerate(used)})
        self._data = np.zeros(self._window_bytes + kernel.PAD, np.uint8)
        # Pieces of the file, each with the position of its first byte in all data; and the position where `_data`
        # begins.
        self._raw: deque[tuple[int, bytes]] = deque()
        self._passed = 0
        self._marks = np.zeros((marks if header.restart_interval else 0, 2), np.int64)
        self._state = np.zeros(self._state_size, np.int64)
        alone = len(scan.components) == 1
        across, self._lines_left = (
            frame.blocks(scan.components[0][0]) if alone else (frame.mcus_per_row, frame.mcu_rows)
        )
        self._lines_per_row = len(self._lines) // frame.slab_rows
        self._state[kernel.MCUS] = across
        self._state[kernel.INTERVAL] = self._state[kernel.UNTIL_RESTART] = header.restart_interval

    def _tables(self, scan: Scan) -> list[tuple[int, int]]:
        """Return (Tc, Th) of the Huffman tables that the scan uses."""
        return sorted({(0, td) for _, td, _ in scan.components} | {(1, ta) for _, _, ta in scan.components})

    def _build(self, specs: TableSpecs) -> DecodingTables:
        """Return the decoding tables."""
        return decoding_tables(specs)

    def read_slab(self, slab: Slab, row: int) -> None:
        """Decode the next slab, which begins with MCU row `row`: those of its blocks that are in this scan."""
        state = self._state
        lines = min(len(slab) // self._header.frame.blocks_per_row * self._lines_per_row, self._lines_left)
        self._lines_left -= lines
        state[kernel.LINE], state[kernel.LINES] = 0, lines
        while True:
            status = self._decode(self._data, self._marks, self._plan, self._lines, self._decoding_tables, state, slab)
            if status == kernel.DONE:
                return
            if status != kernel.MORE:
                raise self._error(status, row + int(state[kernel.LINE]) // self._lines_per_row)
            self._refill()

    def after_scan(self) -> bytes:
        """Return the bytes of the file in the window after the last MCU."""
        pieces = b"".join(piece for _, piece in self._raw)
        count = self._passed + self._byte() - (self._raw[0][0] if self._raw else 0)
        data, state = np.zeros(count + kernel.PAD, np.uint8), np.zeros(self._state_size, np.int64)
        marks = np.zeros((len(pieces) // 2 if len(self._marks) else 0, 2), np.int64)
        return pieces[kernel.destuff(np.frombuffer(pieces, np.uint8), data, marks, state) :]

    def end_offset(self) -> int:
        """Return the offset in the input of the first byte after the last MCU."""
        return self._stream.offset - len(self.after_scan())

    def finish(self) -> None:
        """Skip to the marker that ends the scan."""
        state = self._state
        state[kernel.SURPLUS] += int(state[kernel.END]) - self._byte()
        while not state[kernel.CLOSED]:
            state[kernel.MARK], state[kernel.POSITION] = state[kernel.MARKS], 8 * state[kernel.END]
            self._refill()
            state[kernel.SURPLUS] += state[kernel.END]
        if state[kernel.SURPLUS]:
            # As libjpeg does, with a warning (JWRN_EXTRANEOUS_DATA in jdmarker.c).
            surplus = f"{state[kernel.SURPLUS]} bytes in {self._name} that belong to no MCU were ignored"
            self._header.notices.append(surplus)

    def _byte(self) -> int:
        """Return the index of the first byte of the window without decoded bits."""
        return (int(self._state[kernel.POSITION]) + 7) // 8

    def _refill(self) -> None:
        """Move undecoded bytes to the start of the window and append the available bytes of the input."""
        state, data, marks = self._state, self._data, self._marks
        start, end = int(state[kernel.POSITION]) // 8, int(state[kernel.END])
        data[: end - start] = data[start:end]
        state[kernel.POSITION] -= 8 * start
        state[kernel.END] = end - start
        passed, known = int(state[kernel.MARK]), int(state[kernel.MARKS])
        marks[: known - passed] = marks[passed:known]
        marks[: known - passed, 0] -= start
        state[kernel.MARK], state[kernel.MARKS] = 0, known - passed
        self._passed += start

        stream = self._stream
        place = int(state[kernel.END])
        if stream.peek(2) in (b"", b"\xff"):  # 0xFF alone is not a marker
            self._keep(place, stream.read(1))
            state[kernel.CLOSED] = 1
            return
        window = stream.peek(min(stream.size - stream.offset, self._window_bytes))
        used = kernel.destuff(np.frombuffer(window, np.uint8), data, marks, state)
        stream.skip(used)
        self._keep(place, window[:used])

    def _keep(self, place: int, piece: bytes) -> None:
        """Keep a piece of the file, with its stuffed bytes, which begins at `place` of the window."""
        if self._last:
            while len(self._raw) > 1 and self._raw[1][0] <= self._passed:
                self._raw.popleft()
            self._raw.append((self._passed + place, piece))

    def _offset(self) -> int:
        """Return the offset in the input of the first byte without decoded bits (fill bytes not counted)."""
        at, end = int(self._state[kernel.POSITION]) // 8, int(self._state[kernel.END])
        stuffed = int(np.count_nonzero(self._data[at:end] == 0xFF))
        markers = int(self._state[kernel.MARKS] - self._state[kernel.MARK])
        return self._stream.offset - (end - at) - stuffed - 2 * markers

    def _error(self, status: int, number: int) -> FormatError:
        """Return the error for a status of the kernel."""
        place = f"in MCU row {number} of {self._header.frame.mcu_rows}"
        expected = f"RST{self._state[kernel.RESTART]}"
        match status:
            case kernel.TRUNCATED | kernel.NO_RESTART:
                if self._state[kernel.MARK] < self._state[kernel.MARKS]:
                    found = f"RST{self._marks[self._state[kernel.MARK], 1]}"
                else:
                    pair = self._stream.peek(2)
                    found = marker_name(pair[1]) if len(pair) == 2 else "the end of the input"
                wanted = f", expected {expected}" if status == kernel.NO_RESTART else ""
                problem = f"{self._name} is cut off {place} by {found}{wanted}"
            case kernel.BAD_RESTART:
                found = f"RST{self._marks[self._state[kernel.MARK], 1]}"
                problem = f"{self._name}: {found} {place}, expected {expected}"
            case _:
                problem = f"{self._name}: a Huffman code {place} that is in no table, leads out of its block or makes "
                problem += "DC or AC too large"
        return FormatError("JPEG", "SOS", self._offset(), problem)
