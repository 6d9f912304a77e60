"""Multi-picture files (CIPA DC-007): an index in the first JPEG of the pictures that follow it.

Previews, depth and gain maps are kept so. The index counts from itself, so it has to follow when the first picture
changes its size.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from compressor.errors import FormatError
from compressor.jpeg.frame import Segment
from compressor.t81 import APP2

IDENTIFIER = b"MPF\0"  # 5.1
VERSION_TAG, COUNT_TAG, ENTRIES_TAG = 0xB000, 0xB001, 0xB002  # 5.2.3
LONG, UNDEFINED = 4, 7  # types of Exif 2.32, 4.6.2
ENTRY_BYTES = 16  # attribute, size, offset, two dependent images
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the index (5.2.3.3).

    attribute   kind of the picture and its role
    size        in bytes
    offset      from the index's base, 0 for the first picture
    dependents  numbers of two pictures that belong to this one
    """

    attribute: int
    size: int
    offset: int
    dependents: tuple[int, int]


def index_of(segments: Sequence[Segment]) -> Segment | None:
    """The segment that holds the index, if there is one that can be read."""
    return next((s for s in segments if is_index(s) and is_readable(s)), None)


def is_index(segment: Segment) -> bool:
    """Whether it says that it is one."""
    return segment.marker == APP2 and segment.data.startswith(IDENTIFIER)


def is_readable(index: Segment) -> bool:
    """Whether `moved` could change it. Readers of the first picture alone never look: no reason to refuse a file."""
    try:
        _entries(index.data)
    except FormatError:
        return False
    return True


def _entries(data: bytes) -> tuple[str, int, int]:
    """Byte order, position of the first entry in the segment's data, and how many there are (5.2.2, 5.2.3)."""
    base = len(IDENTIFIER)
    order = BYTE_ORDERS.get(data[base : base + 4], "")
    try:
        if order:
            (directory,) = struct.unpack_from(order + "I", data, base + 4)
            (count,) = struct.unpack_from(order + "H", data, base + directory)
            for at in range(base + directory + 2, base + directory + 2 + 12 * count, 12):
                tag, _, size, offset = struct.unpack_from(order + "HHII", data, at)
                if tag == ENTRIES_TAG and size % ENTRY_BYTES == 0 and base + offset + size <= len(data):
                    return order, base + offset, size // ENTRY_BYTES
    except struct.error:  # an offset beyond the end
        pass
    raise FormatError("JPEG", "APP2", None, "the index of pictures (MPF) can't be read")


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


def entries(index: Segment) -> list[Entry]:
    """Return the entries of a readable index."""
    order, start, count = _entries(index.data)
    found = []
    for at in range(start, start + count * ENTRY_BYTES, ENTRY_BYTES):
        attribute, size, offset, *dependents = struct.unpack_from(order + "IIIHH", index.data, at)
        found.append(Entry(attribute, size, offset, (dependents[0], dependents[1])))
    return found


def base(index: Segment) -> int:
    """Return the offset in the file that the entries' offsets count from (5.2.3.3.3)."""
    return index.offset + len(IDENTIFIER)


def index_data(listed: Sequence[Entry]) -> bytes:
    """Return the data of an index with these entries and nothing else."""
    rows = b"".join(struct.pack(">IIIHH", e.attribute, e.size, e.offset, *e.dependents) for e in listed)
    tags = struct.pack(">HHI4s", VERSION_TAG, UNDEFINED, 4, b"0100")
    tags += struct.pack(">HHII", COUNT_TAG, LONG, 1, len(listed))
    tags += struct.pack(">HHII", ENTRIES_TAG, UNDEFINED, len(rows), 8 + 2 + 3 * 12 + 4)
    return IDENTIFIER + b"MM\0*" + struct.pack(">IH", 8, 3) + tags + bytes(4) + rows
