"""Gain maps in XMP (Android's Ultra HDR image format 1.1), without the rest of the packet.

The first picture of a file names the version and lists the pictures with their lengths, by which readers find the map.
The map's own packet has the parameters to apply it by.
"""

import re
from collections.abc import Mapping

NAMESPACE = b"http://ns.adobe.com/hdr-gain-map/1.0/"
ITEMS_MAX = 16
# Each repetition is bounded, or stops at what begins an element, so that no packet takes more than one look.
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
    """A packet that says of the gain map what `packet` says, and nothing else; None where it says nothing."""
    if NAMESPACE not in packet or (version := VERSION.search(packet)) is None:
        return None
    items = [ATTRIBUTE.findall(found[1]) for found, _ in zip(ITEM.finditer(packet), range(ITEMS_MAX), strict=False)]
    if not any((b"Semantic", b"GainMap") in item for item in items):  # Adobe's programs list none: the index tells
        return MAP_START + b' hdrgm:Version="' + version[1] + b'"/></rdf:RDF></x:xmpmeta>'
    listed = b"".join(
        b'<rdf:li rdf:parseType="Resource"><Container:Item'
        + b"".join(b" Item:" + name + b'="' + value + b'"' for name, value in dict(item).items())
        + b"/></rdf:li>"
        for item in items
    )
    return START + version[1] + b'"><Container:Directory><rdf:Seq>' + listed + END


def with_lengths(packet: bytes, lengths: Mapping[int, int]) -> bytes:
    """Return a packet of `reduced_xmp` with other lengths of pictures, which follow each other without padding.

    lengths  from the old to the new ones
    """

    def replaced(found: re.Match[bytes]) -> bytes:
        length = int(found[1])
        return b'Item:Length="%d"' % lengths.get(length, length)

    return LENGTH.sub(replaced, PADDING.sub(b"", packet))


def reduced_parameters(packet: bytes) -> bytes | None:
    """Return a gain map's packet with the numbers that it is applied by, and nothing else; None where it has none."""
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
