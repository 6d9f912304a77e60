"""The items of a HEIF file that are needed to display its images (ISO/IEC 23008-12 clauses 6.4 to 6.6)."""

from compressor.errors import FormatError, UnsupportedError
from compressor.parsers.heif import Heif, Item

CODED = {b"av01", b"hvc1"}
DERIVED = {b"grid", b"iovl", b"iden", b"tmap"}
# Images whose coded data may contain metadata.
OTHER_IMAGES = {b"jpeg", b"avc1", b"vvc1", b"evc1", b"lhv1", b"lvc1", b"j2k1", b"unci", b"hvt1", b"mski", b"tili"}
ALPHA = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"}
DEPTH = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", b"urn:mpeg:hevc:2015:auxid:2"}
GAIN_MAP_REMOVED = "the gain map was removed: highlights will look different on HDR displays"


def images(heif: Heif, color: bool, notices: list[str]) -> list[Item]:
    """Return the items to keep, in the file's order."""
    thumbnails = {link.origin for link in heif.references if link.kind == b"thmb"}
    inputs = {to for link in heif.references if link.kind == b"dimg" for to in link.targets}
    auxiliary = {link.origin for link in heif.references if link.kind == b"auxl"}
    auxiliary |= {number for number, item in heif.items.items() if heif.find(item, b"auxC") is not None}
    apart = thumbnails | inputs | auxiliary
    shown = [
        number
        for number, item in heif.items.items()
        if number not in apart and not item.hidden and item.kind in CODED | DERIVED | OTHER_IMAGES
    ]
    shown += [number for number in _alternatives(heif) if number in heif.items and number not in apart]
    gain_maps = [number for number, item in heif.items.items() if item.kind == b"tmap"]
    wanted = [heif.primary, *shown, *(gain_maps if color else [])]
    if not color and gain_maps:
        if heif.primary in gain_maps:
            raise UnsupportedError(f"{heif.title}: the gain map can't be removed, since it is the primary image")
        wanted = [number for number in wanted if number not in gain_maps]
        notices.append(GAIN_MAP_REMOVED)
    inputs_of = heif.inputs()
    kept = with_inputs(heif, inputs_of, wanted)
    others = {
        link.origin
        for link in heif.references
        if link.kind == b"auxl" and link.origin in heif.items and kept.intersection(link.targets)
    } - kept
    purposes = {number: heif.auxiliary_type(heif.items[number]) for number in others}
    used = [number for number, purpose in purposes.items() if purpose in ALPHA | DEPTH]
    gains = [number for number, purpose in purposes.items() if b"gainmap" in purpose]
    kept |= with_inputs(heif, inputs_of, used)
    if gains:
        notices.append(GAIN_MAP_REMOVED)
    if unknown := len(others) - len(used) - len(gains):
        notices.append(f"auxiliary images other than alpha and depth were removed: {unknown}")
    return [item for number, item in heif.items.items() if number in kept]


def _alternatives(heif: Heif) -> list[int]:
    """Return the items that a reader may display instead of the primary image; unknown types are rejected later."""
    groups = [members for kind, _, members in heif.groups if kind == b"altr" and heif.primary in members]
    return [member for members in groups for member in members]


def with_inputs(heif: Heif, inputs_of: dict[int, list[int]], wanted: list[int]) -> set[int]:
    """Return the item IDs together with those that they are derived from, directly or indirectly."""
    found: set[int] = set()
    waiting = list(wanted)
    while waiting:
        number = waiting.pop()
        if number in found:
            continue
        if number not in heif.items:
            raise FormatError(heif.title, "iref", None, f"no item {number}")
        found.add(number)
        waiting += inputs_of.get(number, [])
    return found
