"""The properties of HEIF items (ISO/IEC 23008-12 clause 6.5, AV1 Image File Format, ISO/IEC 14496-15) that are needed,
and the part of their content that is."""

from collections.abc import Sequence
from dataclasses import dataclass

from compressor import icc
from compressor.containers.coded import HDR_REMOVED, MessageFilter
from compressor.errors import UnsupportedError
from compressor.parsers import boxes
from compressor.parsers.boxes import Extent, Extents, Fields
from compressor.parsers.heif import Heif, Item
from compressor.spool import BytesSource

# Bytes of the properties that are always kept: size, pixel aspect ratio, rotation, mirroring, clean aperture, scaling,
# layer and operating point selection; in image sequences, coding constraints.
SIZES = {
    b"ispe": 12, b"pasp": 8, b"irot": 1, b"imir": 1, b"clap": 32, b"iscl": 12, b"lsel": 2, b"a1op": 1, b"ccst": 8,
}  # fmt: skip
# Content light level, mastering display, ambient viewing environment: kept by COLOR.
HDR_SIZES = {b"clli": 4, b"mdcv": 24, b"amve": 8}
# Descriptive properties, which are not needed to display the image even where they are marked as essential.
DESCRIPTIVE = {
    b"udes", b"altt", b"aebr", b"afbr", b"wbpr", b"dobr", b"pano", b"crtt", b"mdft", b"cclv", b"rloc", b"subs",
    b"uuid", b"free", b"skip",
}  # fmt: skip
PIXI_BYTES_MAX = 64


@dataclass(frozen=True)
class KeptProperties:
    """The properties to write: type and content of each; by item, their indices and whether they are essential."""

    properties: list[tuple[bytes, bytes]]
    associations: dict[int, list[tuple[int, bool]]]


def descriptive(heif: Heif) -> list[bytes]:
    """Return the types of a file's properties that are not needed to display an image."""
    needed = {*SIZES, *HDR_SIZES, b"colr", b"pixi", b"av1C", b"hvcC", b"auxC", b"a1lx", b"free", b"skip"}
    return [kind for kind, _ in heif.properties if kind not in needed]


def reduce_properties(
    heif: Heif,
    images: Sequence[Item],
    data: dict[int, list[Extent]],
    color: bool,
    messages: MessageFilter,
    notices: list[str],
) -> KeptProperties:
    """Return the properties to keep of some images.

    data      extents of the data to keep, by item
    color     whether ICC profiles and HDR metadata are kept
    messages  filters coded data in properties
    notices   receives notices of what is removed
    """
    used = sorted({index for item in images for index, _ in item.properties})
    contents = {index: content(heif, *heif.properties[index], color, messages, notices) for index in used}
    associations: dict[int, list[tuple[int, bool]]] = {}
    for item in images:
        found = []
        shortened = sum(n for _, n in data[item.number]) != sum(n for _, n in item.extents)
        for index, essential in item.properties:
            kind = heif.properties[index][0]
            if contents[index] is not None and not (kind == b"a1lx" and shortened):  # sizes of unfiltered layers
                found.append((index, essential))
            elif essential and kind not in DESCRIPTIVE | HDR_SIZES.keys() | {b"colr", b"a1lx"}:
                raise UnsupportedError(
                    f"{heif.title}: item {item.number}: the essential property {boxes.name(kind)} is unknown"
                )
        associations[item.number] = found
    still = sorted({index for found in associations.values() for index, _ in found})
    place = {index: number for number, index in enumerate(still)}
    return KeptProperties(
        [(heif.properties[index][0], contents[index] or b"") for index in still],
        {number: [(place[index], essential) for index, essential in found] for number, found in associations.items()},
    )


def content(
    heif: Heif, kind: bytes, data: bytes, color: bool, messages: MessageFilter, notices: list[str]
) -> bytes | None:
    """Return the content of a property to keep, None to remove it."""
    fields = Fields(heif.title, boxes.name(kind), data)
    if kind in SIZES:
        return fields.take(SIZES[kind])
    if kind in HDR_SIZES and color:
        return fields.take(HDR_SIZES[kind])
    match kind:
        case b"colr":
            return _colr(fields, color, notices)
        case b"pixi":
            _, flags = fields.version()
            size = PIXI_BYTES_MAX if flags else 5 + fields.number(1)
            return data[:size]
        case b"auxC" | b"auxi":
            return fields.take(4) + fields.text() + b"\0"
        case b"a1lx":
            return data[: 13 if fields.number(1) & 1 else 7]
        case b"av1C":
            return fields.take(4) + _without_messages(data, messages.av1(_extents_of(data, 4)))
        case b"hvcC":
            return _hvcc(fields, messages)
    if kind in HDR_SIZES or kind == b"cclv":
        notices.append(HDR_REMOVED)
    return None


def _colr(fields: Fields, color: bool, notices: list[str]) -> bytes | None:
    kind = fields.take(4)
    if kind == b"nclx":
        return kind + fields.take(7)
    if kind not in (b"prof", b"rICC"):
        return None
    profile = fields.take(fields.left)
    if color:
        return kind + icc.trimmed(profile)
    if not icc.profile_is_srgb(profile):
        notices.append(f"the ICC profile ({icc.profile_name(profile)}) was removed: colors will differ")
    return None


def _extents_of(content: bytes, start: int) -> Extents:
    return Extents(BytesSource(content), [(start, len(content) - start)])


def _without_messages(content: bytes, extents: Sequence[Extent]) -> bytes:
    return b"".join(content[start : start + length] for start, length in extents)


def _hvcc(fields: Fields, messages: MessageFilter) -> bytes:
    """Return an HEVC decoder configuration (ISO/IEC 14496-15, 8.3.3.1) with its parameter sets alone."""
    head = fields.take(22)
    arrays = []
    for _ in range(fields.number(1)):
        kind = fields.take(1)
        units = []
        for _ in range(fields.number(2)):
            unit = fields.take(fields.number(2))
            if messages.keeps_nal(unit):
                units.append(len(unit).to_bytes(2, "big") + unit)
        if units:
            arrays.append(kind + len(units).to_bytes(2, "big") + b"".join(units))
    return head + bytes([len(arrays)]) + b"".join(arrays)
