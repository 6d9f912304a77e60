"""Reading a sequential JPEG: one MCU row of coefficients at a time, from chunks of any size (T.81 E.2.2 to E.2.4, F.2).

header = read_header(stream)
if header.streams:
    for row in read_rows(stream, header): ...
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, UnsupportedError
from compressor.jpeg.frame import Frame, Header, Scan
from compressor.jpeg.markers import finish_image, read_header
from compressor.kernels import huffman_decode as kernel

__all__ = ["EntropyReader", "read_header", "read_rows"]

WINDOW_BYTES = 1 << 16  # of the file, taken at once
MARKS_MAX = 1024  # restart markers noted in one window; more wait for the next


def read_rows(stream: ByteStream, header: Header) -> Iterator[NDArray[np.int16]]:
    """Coefficient rows from top to bottom, the array reused for each.

    `stream` must stand where `read_header` left it. When the last row has been taken and the next is asked for, what
    is left of the image up to EOI is read: `header.trailing` and `header.notices` are complete then, and bytes behind
    EOI are still in the stream.
    """
    if header.obstacle:
        raise UnsupportedError(f"JPEG with {header.obstacle}")
    frame = header.frame
    reader = EntropyReader(stream, header, header.scan)
    row = np.zeros((frame.blocks_per_row, 64), np.int16)
    for number in range(frame.mcu_rows):
        reader.read_row(row, number)
        yield row
    reader.finish()
    finish_image(stream, header)


def scan_plan(frame: Frame, scan: Scan, tables: dict[tuple[int, int], int]) -> NDArray[np.int64]:
    """The blocks of an MCU in the order of A.2.3, as `decode_mcus` takes them."""
    plan = []
    for index, td, ta in scan.components:
        first, per_line, h, v = (int(n) for n in frame.layout[index])
        for line in range(v):
            for column in range(h):
                plan.append((first + line * per_line + column, h, index, tables[0, td], tables[1, ta]))
    return np.array(plan, np.int64)


class EntropyReader:
    """The entropy-coded segments of one scan. Holds a window of the file without its stuffed bytes, nothing else."""

    def __init__(self, stream: ByteStream, header: Header, scan: Scan) -> None:
        self._stream = stream
        self._header = header
        used = sorted({(0, td) for _, td, _ in scan.components} | {(1, ta) for _, _, ta in scan.components})
        self._lookup = np.zeros((len(used), 1 << kernel.BITS), np.int32)
        self._limits = np.zeros((len(used), 2, 17), np.int32)
        self._huffval = np.zeros((len(used), 256), np.uint8)
        for n, key in enumerate(used):
            bits, huffval = header.huffman[key]
            self._huffval[n, : len(huffval)] = np.frombuffer(huffval, np.uint8)
            bits_array = np.frombuffer(bits, np.uint8)
            kernel.build_table(bits_array, key[0] == 1, n, self._huffval, self._lookup, self._limits)
        self._plan = scan_plan(header.frame, scan, {key: n for n, key in enumerate(used)})
        self._data = np.zeros(WINDOW_BYTES + kernel.PAD, np.uint8)
        self._marks = np.zeros((MARKS_MAX if header.restart_interval else 0, 2), np.int64)
        self._state = np.zeros(kernel.STATE, np.int64)
        self._state[kernel.MCUS] = header.frame.mcus_per_row
        self._state[kernel.INTERVAL] = self._state[kernel.TODO] = header.restart_interval

    def read_row(self, row: NDArray[np.int16], number: int) -> None:
        """Decode the next MCU row, the one of that number, into `row`."""
        self._state[kernel.MCU] = 0
        while True:
            status = kernel.decode_mcus(
                self._data, self._marks, self._plan, self._lookup, self._limits, self._huffval, self._state, row
            )
            if status == kernel.DONE:
                return
            if status != kernel.MORE:
                raise self._error(status, number)
            self._refill()

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
            self._header.notices.append(f"{state[kernel.SURPLUS]} bytes in the scan that belong to no MCU were ignored")

    def _byte(self) -> int:
        """Index of the first byte of the window that holds nothing decoded yet."""
        return (int(self._state[kernel.POSITION]) + 7) // 8

    def _refill(self) -> None:
        """Move what is not decoded yet to the start of the window and append to it what the input has at hand."""
        state, data, marks = self._state, self._data, self._marks
        start, end = int(state[kernel.POSITION]) // 8, int(state[kernel.END])
        data[: end - start] = data[start:end]
        state[kernel.POSITION] -= 8 * start
        state[kernel.END] = end - start
        passed, known = int(state[kernel.MARK]), int(state[kernel.MARKS])
        marks[: known - passed] = marks[passed:known]
        marks[: known - passed, 0] -= start
        state[kernel.MARK], state[kernel.MARKS] = 0, known - passed

        stream = self._stream
        if len(stream.peek(2)) < 2:  # 0xFF alone says nothing
            stream.read(2)
            state[kernel.CLOSED] = 1
            return
        window = stream.peek(min(stream.size - stream.offset, WINDOW_BYTES))
        used = kernel.destuff(np.frombuffer(window, np.uint8), data, marks, state)
        stream.read(used)

    def _offset(self) -> int:
        """Offset in the input of the first byte that holds nothing decoded yet (fill bytes not counted)."""
        at, end = int(self._state[kernel.POSITION]) // 8, int(self._state[kernel.END])
        stuffed = int(np.count_nonzero(self._data[at:end] == 0xFF))
        markers = int(self._state[kernel.MARKS] - self._state[kernel.MARK])
        return self._stream.offset - (end - at) - stuffed - 2 * markers

    def _error(self, status: int, number: int) -> FormatError:
        place = f"in MCU row {number} of {self._header.frame.mcu_rows}"
        expected = f"RST{self._state[kernel.RESTART]}"
        match status:
            case kernel.TRUNCATED | kernel.NO_RESTART:
                if self._state[kernel.MARK] < self._state[kernel.MARKS]:
                    found = f"RST{self._marks[self._state[kernel.MARK], 1]}"
                else:
                    found = "".join(f"{byte:02X}" for byte in self._stream.peek(2)) or "the end of the input"
                wanted = f", expected {expected}" if status == kernel.NO_RESTART else ""
                problem = f"the scan is cut off {place} by {found}{wanted}"
            case kernel.BAD_RESTART:
                found = f"RST{self._marks[self._state[kernel.MARK], 1]}"
                problem = f"{found} {place}, expected {expected}"
            case _:
                problem = f"a Huffman code {place} that is in no table, leads out of its block or makes DC too large"
        return FormatError("JPEG", "SOS", self._offset(), problem)
