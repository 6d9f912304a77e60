"""HEIF and AVIF still images (ISO/IEC 23008-12, AV1 Image File Format), reduced to what a metadata policy keeps.

The file is put together anew from what is known to be needed: the file type box, a meta box with the pictures alone,
and their coded data. Coded data are copied as they are, but for messages in them (`coded`).

Kept: the primary picture and others that are shown like it, the parts of grids and overlays, alpha planes and depth
maps. COLOR keeps ICC profiles, HDR metadata and gain maps (`tmap`) as well. Orientation is the properties `irot` and
`imir`, which stay; that of Exif is one that HEIF readers ignore.
"""

import bisect
from collections.abc import Iterator

from compressor import boxes
from compressor.boxes import Box, Part, Pieces
from compressor.boxes.heif import Heif, Item, read
from compressor.containers import heif_properties, heif_writer
from compressor.containers.coded import Messages
from compressor.errors import CompressorError, FormatError, UnsupportedError
from compressor.memory import Readable
from compressor.settings import Metadata

CODED = {b"av01", b"hvc1"}
DERIVED = {b"grid", b"iovl", b"iden", b"tmap"}
# Pictures whose data are not known to be free of metadata.
OTHER_PICTURES = {b"jpeg", b"avc1", b"vvc1", b"evc1", b"lhv1", b"lvc1", b"j2k1", b"unci", b"hvt1", b"mski", b"tili"}
ALPHA = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"}
DEPTH = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", b"urn:mpeg:hevc:2015:auxid:2"}
DERIVED_BYTES_MAX = 1 << 20
GAIN_MAP_REMOVED = "the gain map was removed: bright parts will look different on HDR displays"
C2PA_REMOVED = "content credentials (C2PA) were removed"


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file with its pictures alone; see `compressor.containers.without_metadata`."""
    heif = read(source)
    color = policy is Metadata.COLOR
    said: list[str] = []
    pictures = _pictures(heif, color, said)
    mdats = [box for box in heif.top if box.kind == b"mdat"]
    for item in pictures:
        _check_data(heif, item, mdats)
    if sum(length for parts in {tuple(item.parts) for item in pictures} for _, length in parts) > source.size:
        raise UnsupportedError(f"{heif.title}: the data of its items overlap")
    messages = Messages(color, said)
    inputs_of = heif.inputs()
    data = {
        item.number: _needed_parts(heif, item, len(inputs_of.get(item.number, [])), source, messages)
        for item in pictures
    }
    properties = heif_properties.reduced(heif, pictures, data, color, messages, said)
    if any(box.kind == b"uuid" and source.read(box.content, 16) == boxes.C2PA_UUID for box in heif.top):
        said.append(C2PA_REMOVED)
    if behind := _behind(heif, source, data):
        said.append(f"{behind} bytes behind the image were removed")
    result = heif_writer.Result(heif, pictures, data, properties)
    notices += dict.fromkeys(said)
    idat = b"".join(boxes.copied(source, result.idat_parts))
    yield result.finish(idat)
    yield from boxes.copied(source, result.media)


def _pictures(heif: Heif, color: bool, said: list[str]) -> list[Item]:
    """Return the items that are kept, in the file's order."""
    thumbnails = {link.origin for link in heif.references if link.kind == b"thmb"}
    inputs = {to for link in heif.references if link.kind == b"dimg" for to in link.targets}
    auxiliary = {link.origin for link in heif.references if link.kind == b"auxl"}
    auxiliary |= {number for number, item in heif.items.items() if heif.find(item, b"auxC") is not None}
    apart = thumbnails | inputs | auxiliary
    shown = [
        number
        for number, item in heif.items.items()
        if number not in apart and not item.hidden and item.kind in CODED | DERIVED | OTHER_PICTURES
    ]
    gain_maps = [number for number, item in heif.items.items() if item.kind == b"tmap"]
    wanted = [heif.primary, *shown, *(gain_maps if color else [])]
    if not color and gain_maps:
        if heif.primary in gain_maps:
            raise UnsupportedError(f"{heif.title}: its gain map can't be removed, since it is the primary picture")
        wanted = [number for number in wanted if number not in gain_maps]
        said.append(GAIN_MAP_REMOVED)
    inputs_of = heif.inputs()
    kept = _closed(heif, inputs_of, wanted)
    others = {
        link.origin
        for link in heif.references
        if link.kind == b"auxl" and link.origin in heif.items and kept.intersection(link.targets)
    } - kept
    purposes = {number: heif.auxiliary_type(heif.items[number]) for number in others}
    used = [number for number, purpose in purposes.items() if purpose in ALPHA | DEPTH]
    gains = [number for number, purpose in purposes.items() if b"gainmap" in purpose]
    kept |= _closed(heif, inputs_of, used)
    if gains:
        said.append(GAIN_MAP_REMOVED)
    if unknown := len(others) - len(used) - len(gains):
        said.append(f"auxiliary images other than alpha and depth were removed: {unknown}")
    return [item for number, item in heif.items.items() if number in kept]


def _closed(heif: Heif, inputs_of: dict[int, list[int]], wanted: list[int]) -> set[int]:
    """Return the items with those that they are derived from."""
    found: set[int] = set()
    waiting = list(wanted)
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        if number not in heif.items:
            raise FormatError(heif.title, "iref", None, f"there is no item {number}")
        found.add(number)
        waiting += inputs_of.get(number, [])
    return found


def _check_data(heif: Heif, item: Item, mdats: list[Box]) -> None:
    """Refuse what can't be read or understood. Data up to the end of the file end with their mdat box."""
    what = f"{heif.title}: item {item.number} ({boxes.name(item.kind)})"
    if item.kind not in CODED | DERIVED:
        raise UnsupportedError(f"{what}: metadata can't be removed from pictures of this type")
    if item.obstacle:
        raise UnsupportedError(f"{what}: {item.obstacle}")
    if not item.parts and item.kind != b"iden":
        raise FormatError(heif.title, "iloc", None, f"item {item.number} has no data")
    if item.in_idat:
        return
    found = []
    for start, length in item.parts:
        number = bisect.bisect_right(mdats, start, key=lambda box: box.content) - 1
        box = mdats[number] if number >= 0 else None
        if box is None or start > box.end or (start + length > box.end and start + length != heif.end):
            raise FormatError(heif.title, "iloc", start, f"data of item {item.number} lie outside the mdat boxes")
        found.append((start, min(length, box.end - start)))
    item.parts = found


def _needed_parts(heif: Heif, item: Item, inputs: int, source: Readable, messages: Messages) -> list[Part]:
    """Return where the data of a picture are that are kept. inputs: of how many others it is derived."""
    data = Pieces(source, item.parts)
    if item.kind == b"av01":
        found = messages.av1(data)
    elif item.kind == b"hvc1":
        configuration = heif.find(item, b"hvcC")
        if configuration is None or len(configuration) < 22:
            raise FormatError(heif.title, "hvcC", None, f"item {item.number} has no complete decoder configuration")
        found = messages.hevc(data, (configuration[21] & 3) + 1)
    else:
        return _derivation(heif, item, inputs, data)
    if not found:
        raise FormatError(heif.title, "mdat", None, f"item {item.number} has no coded picture")
    return found


def _derivation(heif: Heif, item: Item, inputs: int, data: Pieces) -> list[Part]:
    """Return where the description of a derived picture is (ISO/IEC 23008-12, 6.6.2)."""
    head = data.read(0, 8)
    wide = bool(head[1:2]) and head[1] & 1
    match item.kind:
        case b"grid":
            size = 12 if wide else 8
        case b"iovl":
            size = 10 + (8 if wide else 4) * (1 + inputs)
        case b"tmap":  # ISO 21496-1: a version, headrooms, and 40 bytes for each channel
            channels = 3 if len(head) > 5 and head[5] & 0x80 else 1
            size = min(22 + 40 * channels, data.size)
        case _:
            size = 0
    if size > min(data.size, DERIVED_BYTES_MAX):
        raise FormatError(
            heif.title, boxes.name(item.kind), None, f"item {item.number} has {data.size} of {size} bytes"
        )
    return boxes.joined(data.parts(0, size))


def _behind(heif: Heif, source: Readable, data: dict[int, list[Part]]) -> int:
    """Return how many bytes follow the boxes that hold the pictures, 0 where these are padding or named otherwise."""
    ends = [box.end for box in heif.top if box.kind == b"meta"][:1]
    last = max((start for parts in data.values() for start, _ in parts), default=0)
    ends += [box.end for box in heif.top if box.start <= last < box.end]
    rest = [box for box in heif.top if box.start >= max(ends)]
    if heif.end == source.size and all(
        box.kind in (b"free", b"skip", b"mdat") or source.read(box.content, 16) == boxes.C2PA_UUID for box in rest
    ):
        return 0
    return source.size - max(ends)


def uncarried(source: Readable) -> list[str]:
    """Name what the file has besides the pixels, ICC profile, Exif and XMP of its primary picture."""
    try:
        heif = read(source)
        pictures = {item.number for item in _pictures(heif, True, [])}
    except CompressorError:
        return []
    found = []
    thumbnails = {link.origin for link in heif.references if link.kind == b"thmb"}
    primary = _closed(heif, heif.inputs(), [heif.primary])
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
        elif number in pictures - primary and not purpose and not item.hidden:
            found.append("further images")
        elif item.kind == b"mime" and item.media != b"application/rdf+xml":
            found.append(f"item of type {_printable(item.media)}")
        elif item.kind not in CODED | DERIVED | {b"mime", b"Exif"}:
            found.append(f"item of type {boxes.name(item.kind)}")
    for box in heif.top:
        if box.kind == b"uuid" and source.read(box.content, 16) == boxes.C2PA_UUID:
            found.append("content credentials (C2PA)")
        elif box.kind not in (b"ftyp", b"meta", b"mdat", b"free", b"skip"):
            found.append(f"box {boxes.name(box.kind)}")
    found += [f"property {boxes.name(kind)}" for kind in heif_properties.descriptive(heif)]
    if heif.end < source.size:
        found.append(f"{source.size - heif.end} bytes behind the image")
    return list(dict.fromkeys(found))[:20]


def _printable(text: bytes) -> str:
    return "".join(c for c in text[:60].decode("latin-1") if c.isprintable())
