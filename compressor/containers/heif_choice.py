"""Which items of a HEIF file are pictures that are shown, or needed for one (ISO/IEC 23008-12 clauses 6.4 to 6.6)."""

from compressor.errors import FormatError, UnsupportedError
from compressor.parsers.heif import Heif, Item

CODED = {b"av01", b"hvc1"}
DERIVED = {b"grid", b"iovl", b"iden", b"tmap"}
# Pictures whose data are not known to be free of metadata.
OTHER_PICTURES = {b"jpeg", b"avc1", b"vvc1", b"evc1", b"lhv1", b"lvc1", b"j2k1", b"unci", b"hvt1", b"mski", b"tili"}
ALPHA = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"}
DEPTH = {b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth", b"urn:mpeg:hevc:2015:auxid:2"}
GAIN_MAP_REMOVED = "the gain map was removed: bright parts will look different on HDR displays"


def pictures(heif: Heif, color: bool, said: list[str]) -> list[Item]:
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
    shown += [number for number in _alternatives(heif) if number in heif.items and number not in apart]
    gain_maps = [number for number, item in heif.items.items() if item.kind == b"tmap"]
    wanted = [heif.primary, *shown, *(gain_maps if color else [])]
    if not color and gain_maps:
        if heif.primary in gain_maps:
            raise UnsupportedError(f"{heif.title}: its gain map can't be removed, since it is the primary picture")
        wanted = [number for number in wanted if number not in gain_maps]
        said.append(GAIN_MAP_REMOVED)
    inputs_of = heif.inputs()
    kept = closed(heif, inputs_of, wanted)
    others = {
        link.origin
        for link in heif.references
        if link.kind == b"auxl" and link.origin in heif.items and kept.intersection(link.targets)
    } - kept
    purposes = {number: heif.auxiliary_type(heif.items[number]) for number in others}
    used = [number for number, purpose in purposes.items() if purpose in ALPHA | DEPTH]
    gains = [number for number, purpose in purposes.items() if b"gainmap" in purpose]
    kept |= closed(heif, inputs_of, used)
    if gains:
        said.append(GAIN_MAP_REMOVED)
    if unknown := len(others) - len(used) - len(gains):
        said.append(f"auxiliary images other than alpha and depth were removed: {unknown}")
    return [item for number, item in heif.items.items() if number in kept]


def _alternatives(heif: Heif) -> list[int]:
    """Return what a reader may show in place of the primary picture; if its type is not known, it is refused later."""
    groups = [members for kind, _, members in heif.groups if kind == b"altr" and heif.primary in members]
    return [member for members in groups for member in members]


def closed(heif: Heif, inputs_of: dict[int, list[int]], wanted: list[int]) -> set[int]:
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
