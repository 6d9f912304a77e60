"""Multi-picture files (CIPA DC-007): an index in the first JPEG of the pictures that follow it, and gain maps.

Previews, depth maps and gain maps are stored this way. Offsets in the index are relative to its own position, so it has
to change when the first picture changes its size. The XMP of Adobe's gain maps lists the same pictures by length.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from compressor.errors import FormatError
from compressor.jpeg.frame import Segment
from compressor.t81 import APP2

# --- the index (MPF)

IDENTIFIER = b"MPF\0"  # 5.1
VERSION_TAG, COUNT_TAG, ENTRIES_TAG = 0xB000, 0xB001, 0xB002  # 5.2.3
LONG, UNDEFINED = 4, 7  # types of Exif 2.32, 4.6.2
ENTRY_BYTES = 16  # attribute, size, offset, two dependent images
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


@dataclass(frozen=True, slots=True)
class MpEntry:
    """An entry of the index (5.2.3.3).

    attribute   type and role of the picture
    size        in bytes
    offset      from the index's base, 0 for the first picture
    dependents  numbers of two pictures that belong to this one
    """

    attribute: int
    size: int
    offset: int
    dependents: tuple[int, int]


def index_of(segments: Sequence[Segment]) -> Segment | None:
    """Return the segment with the index; None without one that can be read."""
    return next((s for s in segments if is_index(s) and is_readable(s)), None)


def is_index(segment: Segment) -> bool:
    """Return whether a segment has the identifier of an index."""
    return segment.marker == APP2 and segment.data.startswith(IDENTIFIER)


def is_readable(index: Segment) -> bool:
    """Return whether an index can be parsed. Readers of the first picture ignore it, so a bad one is no error."""
    try:
        _entries(index.data)
    except FormatError:
        return False
    return True


def _entries(data: bytes) -> tuple[str, int, int]:
    """Return byte order, position of the first entry in the segment's data, and number of entries (5.2.2, 5.2.3)."""
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
    raise FormatError("JPEG", "APP2", None, "the index of images (MPF) can't be read")


def rewrite_offsets(index: Segment, first_bytes: int, shift: int) -> bytes:
    """Return the index's data after a change of the first picture's size.

    first_bytes  new size of the first picture
    shift        change of the other pictures' distance from the index; negative if they are nearer
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


def entries(index: Segment) -> list[MpEntry]:
    """Return the entries of a readable index."""
    order, start, count = _entries(index.data)
    found = []
    for at in range(start, start + count * ENTRY_BYTES, ENTRY_BYTES):
        attribute, size, offset, *dependents = struct.unpack_from(order + "IIIHH", index.data, at)
        found.append(MpEntry(attribute, size, offset, (dependents[0], dependents[1])))
    return found


def base(index: Segment) -> int:
    """Return the offset in the file that the entries' offsets count from (5.2.3.3.3)."""
    return index.offset + len(IDENTIFIER)


def index_data(listed: Sequence[MpEntry]) -> bytes:
    """Return the data of an index with these entries and nothing else."""
    rows = b"".join(struct.pack(">IIIHH", e.attribute, e.size, e.offset, *e.dependents) for e in listed)
    tags = struct.pack(">HHI4s", VERSION_TAG, UNDEFINED, 4, b"0100")
    tags += struct.pack(">HHII", COUNT_TAG, LONG, 1, len(listed))
    tags += struct.pack(">HHII", ENTRIES_TAG, UNDEFINED, len(rows), 8 + 2 + 3 * 12 + 4)
    return IDENTIFIER + b"MM\0*" + struct.pack(">IH", 8, 3) + tags + bytes(4) + rows


# --- XMP of a gain map

NAMESPACE = b"http://ns.adobe.com/hdr-gain-map/1.0/"
ITEMS_MAX = 16
# Each repetition is bounded, or stops at the start of an element, so that a packet is scanned only once.
VERSION = re.compile(rb'hdrgm:Version(?:\s{0,9}=\s{0,9}"|>\s{0,9})([0-9.]{1,9})["<\s]')
ITEM = re.compile(rb"<\w{1,32}:Item\b([^<>]*)>")
ATTRIBUTE = re.compile(rb':(Semantic|Mime|Length|Padding)\s{0,9}=\s{0,9}"([A-Za-z0-9/+. -]{0,64})"')
MAP_START = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:hdrgm="' + NAMESPACE + b'"'
)
START = (
    MAP_START + b' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    b' xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version="'
)
LENGTH = re.compile(rb'Item:Length="([0-9]{1,12})"')
PADDING = re.compile(rb' Item:Padding="[^"]{0,64}"')
# A parameter is an attribute, an element, or a sequence of one value for each channel.
PARAMETER = re.compile(
    rb'hdrgm:([A-Za-z]{1,40})(?:\s{0,9}=\s{0,9}"([^"<>]{1,40})"|>\s{0,99}([^<>]{1,40}?)\s{0,99}</hdrgm:)'
)
SEQUENCE = re.compile(rb"<hdrgm:([A-Za-z]{1,40})>\s{0,99}<rdf:Seq>((?:\s{0,99}<rdf:li>[^<>]{1,40}</rdf:li>){1,3})")
VALUE = re.compile(rb"<rdf:li>([^<>]{1,40})</rdf:li>")
NUMBER = re.compile(rb"[-+0-9.eE]{1,40}|True|False|true|false")
PARAMETERS = frozenset(
    b"Version BaseRenditionIsHDR GainMapMin GainMapMax Gamma OffsetSDR OffsetHDR HDRCapacityMin HDRCapacityMax".split()
)
END = b"</rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"


def reduced_xmp(packet: bytes) -> bytes | None:
    """Return a packet with only the gain map's properties in `packet`; None without any."""
    if NAMESPACE not in packet or (version := VERSION.search(packet)) is None:
        return None
    items = [ATTRIBUTE.findall(found[1]) for found, _ in zip(ITEM.finditer(packet), range(ITEMS_MAX), strict=False)]
    if not any((b"Semantic", b"GainMap") in item for item in items):  # Adobe's programs list none: the index has them
        return MAP_START + b' hdrgm:Version="' + version[1] + b'"/></rdf:RDF></x:xmpmeta>'
    listed = b"".join(
        b'<rdf:li rdf:parseType="Resource"><Container:Item'
        + b"".join(b" Item:" + name + b'="' + value + b'"' for name, value in dict(item).items())
        + b"/></rdf:li>"
        for item in items
    )
    return START + version[1] + b'"><Container:Directory><rdf:Seq>' + listed + END


def with_lengths(packet: bytes, lengths: Mapping[int, int]) -> bytes:
    """Return a packet of `reduced_xmp` with new lengths of pictures, which follow each other without padding.

    lengths  old length → new length
    """

    def replaced(found: re.Match[bytes]) -> bytes:
        length = int(found[1])
        return b'Item:Length="%d"' % lengths.get(length, length)

    return LENGTH.sub(replaced, PADDING.sub(b"", packet))


def reduced_parameters(packet: bytes) -> bytes | None:
    """Return a gain map's packet with only the parameters of its application; None without any."""
    if NAMESPACE not in packet:
        return None
    found: dict[bytes, list[bytes]] = {}
    for name, attribute, element in PARAMETER.findall(packet):
        found.setdefault(name, [(attribute or element).strip()])
    for name, values in SEQUENCE.findall(packet):
        found.setdefault(name, VALUE.findall(values))
    kept = {name: values for name, values in found.items() if name in PARAMETERS and all(map(NUMBER.fullmatch, values))}
    if b"Version" not in kept or b"GainMapMax" not in kept:
        return None
    elements = b"".join(
        b"<hdrgm:%s><rdf:Seq>%s</rdf:Seq></hdrgm:%s>"
        % (name, b"".join(b"<rdf:li>" + value + b"</rdf:li>" for value in values), name)
        for name, values in kept.items()
        if len(values) > 1
    )
    attributes = b"".join(b' hdrgm:%s="%s"' % (name, values[0]) for name, values in kept.items() if len(values) == 1)
    return MAP_START + attributes + b">" + elements + b"</rdf:Description></rdf:RDF></x:xmpmeta>"
