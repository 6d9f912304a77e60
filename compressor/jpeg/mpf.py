"""Multi-picture files (CIPA DC-007): an index in the first JPEG of the pictures that follow it.

Previews, depth and gain maps are kept so. The index counts from itself, so it has to follow when the first picture
changes its size; the pictures behind it stay as they are.
"""

import struct
from collections.abc import Sequence

from compressor.errors import FormatError
from compressor.jpeg.frame import Segment
from compressor.t81 import APP2

IDENTIFIER = b"MPF\0"  # 5.1
ENTRIES_TAG = 0xB002  # 5.2.3.3
ENTRY_BYTES = 16  # attribute, size, offset, two dependent images
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def index_of(segments: Sequence[Segment]) -> Segment | None:
    """The segment that holds the index, if there is one."""
    held = (s for s in segments if s.marker == APP2 and s.data.startswith(IDENTIFIER))
    return next(held, None)


def _entries(data: bytes, offset: int | None = None) -> tuple[str, int, int]:
    """Byte order, position of the first entry in the segment's data, and how many there are (5.2.2, 5.2.3).

    offset  of the data in the input, for the error
    """
    base = len(IDENTIFIER)
    order = BYTE_ORDERS.get(data[base : base + 4], "")
    try:
        if order:
            (directory,) = struct.unpack_from(order + "I", data, base + 4)
            (count,) = struct.unpack_from(order + "H", data, base + directory)
            for at in range(base + directory + 2, base + directory + 2 + 12 * count, 12):
                tag, _, size, start = struct.unpack_from(order + "HHII", data, at)
                if tag == ENTRIES_TAG and size % ENTRY_BYTES == 0 and base + start + size <= len(data):
                    return order, base + start, size // ENTRY_BYTES
    except struct.error:  # an offset beyond the end
        pass
    raise FormatError("JPEG", "APP2", offset, "the index of pictures (MPF) can't be read")


def check(index: Segment, offset: int) -> None:
    """Raises FormatError for an index that `moved` could not change; its data begin at `offset` in the input."""
    _entries(index.data, offset)


def moved(index: Segment, first_bytes: int, shift: int) -> bytes:
    """The index's data after the first picture got another size.

    first_bytes  size of the first picture now
    shift        how much farther the others are from the index than they were; negative where they are nearer
    """
    data = bytearray(index.data)
    order, start, count = _entries(index.data)
    for n in range(count):
        at = start + n * ENTRY_BYTES
        attribute, size, offset = struct.unpack_from(order + "III", data, at)
        if offset == 0:  # the first picture: its offset is 0 by definition (5.2.3.3.3)
            size = first_bytes
        else:
            offset = (offset + shift) & 0xFFFFFFFF
        struct.pack_into(order + "III", data, at, attribute, size, offset)
    return bytes(data)
