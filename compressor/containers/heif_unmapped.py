"""Names of the metadata of a HEIF file that a conversion loses."""

from compressor.containers import heif_properties, notes
from compressor.containers.coded import MessageFilter
from compressor.containers.heif_choice import ALPHA, CODED, DEPTH, DERIVED, images, with_inputs
from compressor.containers.heif_writer import BRANDS, GROUPS, REFERENCES
from compressor.errors import CompressorError
from compressor.parsers import boxes
from compressor.parsers.boxes import Extent, Extents
from compressor.parsers.heif import Heif, Item, read
from compressor.spool import Readable

# Item names that encoders give to every image.
COMMON_NAMES = {b"", b"Color", b"Alpha", b"Exif", b"XMP", b"GMap", b"Image", b"HEVC Image", b"SampleTransform"}
PADDING_BYTES_MAX = 1 << 20  # of a free or skip box, which are examined


def unmapped_heif(source: Readable) -> list[str]:
    """Return names of what a file has besides the pixels, ICC profile, Exif and XMP of its primary image."""
    try:
        heif = read(source)
        found = [*_boxes(heif, source), *_items(heif), *_details(heif), *_data(heif, source)]
    except CompressorError:
        return []
    if heif.end < source.size:
        found.append(notes.trailing_bytes(source.size - heif.end))
    found.sort(key=lambda name: name != notes.CREDENTIALS)  # the caller looks for it: keep it within the limit
    return notes.first_names(found)


def _items(heif: Heif) -> list[str]:
    found = []
    shown = {item.number for item in images(heif, True, [])}
    thumbnails = {link.origin for link in heif.references if link.kind == b"thmb"}
    primary = with_inputs(heif, heif.inputs(), [heif.primary])
    for number, item in heif.items.items():
        purpose = heif.auxiliary_type(item)
        if item.kind == b"tmap" or b"gainmap" in purpose:
            found.append("gain map")
        elif number in thumbnails:
            found.append("thumbnail")
        elif purpose in DEPTH:
            found.append("depth map")
        elif purpose and purpose not in ALPHA:
            found.append("auxiliary image")
        elif number in shown - primary and not purpose and not item.hidden:
            found.append("additional images")
        elif item.kind == b"mime" and item.media != b"application/rdf+xml":
            found.append(f"item of type {_printable(item.media)}")
        elif item.kind not in CODED | DERIVED | {b"mime", b"Exif"}:
            found.append(f"item of type {boxes.name(item.kind)}")
    return found


def _boxes(heif: Heif, source: Readable) -> list[str]:
    found = []
    for box in heif.top:
        if box.kind == b"uuid" and source.read(box.content, 16) == boxes.C2PA_UUID:
            found.append(notes.CREDENTIALS)
        elif box.kind in (b"free", b"skip"):
            if source.read(box.content, min(box.end - box.content, PADDING_BYTES_MAX)).strip(b"\0"):
                found.append("non-zero padding")
        elif box.kind not in (b"ftyp", b"meta", b"moov", b"mdat"):
            found.append(f"box {boxes.name(box.kind)}")
    return found


def _details(heif: Heif) -> list[str]:
    """Return names of what is in the file type box and the meta box, except items and their data."""
    found = list(heif.others)
    if any(brand not in BRANDS for brand in heif.brands):
        found.append("brands")
    if any(item.name not in COMMON_NAMES for item in heif.items.values()):
        found.append("item names")
    found += [f"references {boxes.name(link.kind)}" for link in heif.references
              if link.kind not in REFERENCES | {b"cdsc", b"thmb"}]  # fmt: skip
    found += [f"group {boxes.name(kind)}" for kind, _, _ in heif.groups if kind not in GROUPS]
    found += [f"property {boxes.name(kind)}" for kind in heif_properties.descriptive(heif)]
    messages = MessageFilter(True, [])
    for kind, content in heif.properties:
        left = heif_properties.content(heif, kind, content, True, messages, [])
        if left is not None and len(left) < len(content):
            found.append(f"extra bytes in the property {boxes.name(kind)}")
    return found


def _data(heif: Heif, source: Readable) -> list[str]:
    """Return names of what is between the data of items and in the coded data of the primary image."""
    found = []
    if not any(box.kind == b"moov" for box in heif.top):
        places = [(box.content, box.end) for box in heif.top if box.kind == b"mdat"]
        places += [(heif.idat[0], sum(heif.idat))] if heif.idat else []
        used = sorted(extent for item in heif.items.values() for extent in item.extents)
        if unused := sum(_unused(start, end, used) for start, end in places):
            found.append(f"{unused} bytes between the images")
    messages = MessageFilter(True, [])
    for number in with_inputs(heif, heif.inputs(), [heif.primary]):
        item = heif.items[number]
        if item.kind == b"av01" and not item.obstacle and _shortened(item, source, messages):
            found.append("metadata messages in the coded image")
    return found


def _unused(start: int, end: int, used: list[Extent]) -> int:
    """Return the number of bytes from `start` to `end` outside of all extents, which are sorted."""
    count, at = 0, start
    for first, length in used:
        if first >= end:
            break
        count += max(0, first - at)
        at = max(at, first + length)
    return count + max(0, end - at)


def _shortened(item: Item, source: Readable, messages: MessageFilter) -> bool:
    kept = messages.av1(Extents(source, item.extents))
    return sum(length for _, length in kept) < sum(length for _, length in item.extents)


def _printable(text: bytes) -> str:
    return "".join(c for c in text[:60].decode("latin-1") if c.isprintable())
