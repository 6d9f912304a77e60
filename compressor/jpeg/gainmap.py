"""What the first picture of a file says of the gain map behind it, in XMP (Android's Ultra HDR image format 1.1).

Readers look for the version, and find the map by the lengths in the directory of pictures. An XMP packet holds much
else; these two can be had without the rest.
"""

import re

NAMESPACE = b"http://ns.adobe.com/hdr-gain-map/1.0/"
ITEMS_MAX = 16
# Each repetition is bounded, or stops at what begins an element, so that no packet takes more than one look.
VERSION = re.compile(rb'hdrgm:Version\s{0,9}=\s{0,9}"([0-9.]{1,9})"')
ITEM = re.compile(rb"<\w{1,32}:Item\b([^<>]*)>")
ATTRIBUTE = re.compile(rb':(Semantic|Mime|Length|Padding)\s{0,9}=\s{0,9}"([A-Za-z0-9/+. -]{0,64})"')
START = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:hdrgm="' + NAMESPACE + b'"'
    b' xmlns:Container="http://ns.google.com/photos/1.0/container/"'
    b' xmlns:Item="http://ns.google.com/photos/1.0/container/item/" hdrgm:Version="'
)
END = b"</rdf:Seq></Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"


def reduced_xmp(packet: bytes) -> bytes | None:
    """A packet that says of the gain map what `packet` says, and nothing else; None where it says nothing."""
    if NAMESPACE not in packet or (version := VERSION.search(packet)) is None:
        return None
    items = [ATTRIBUTE.findall(found[1]) for found, _ in zip(ITEM.finditer(packet), range(ITEMS_MAX), strict=False)]
    if not any((b"Semantic", b"GainMap") in item for item in items):
        return None
    listed = b"".join(
        b'<rdf:li rdf:parseType="Resource"><Container:Item'
        + b"".join(b" Item:" + name + b'="' + value + b'"' for name, value in dict(item).items())
        + b"/></rdf:li>"
        for item in items
    )
    return START + version[1] + b'"><Container:Directory><rdf:Seq>' + listed + END
