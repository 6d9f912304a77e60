"""The new HEIF file: file type box, meta box, moov box, and the extents of the source that its mdat box holds."""

import struct
from collections.abc import Sequence

from compressor.containers.heif_properties import KeptProperties
from compressor.containers.heif_tracks import ImageSequence
from compressor.parsers.boxes import Extent, make, make_full, merge_extents
from compressor.parsers.heif import Heif, Item

# Brands that specify how to read the file. Anybody may register others, which can identify the writer.
BRANDS = {
    b"mif1", b"mif2", b"mif3", b"msf1", b"miaf", b"mich", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm",
    b"hevs", b"avif", b"avis", b"avio", b"MA1A", b"MA1B", b"MiHA", b"MiHB", b"MiHE", b"MiPr", b"1pic", b"unif", b"geo1",
    b"iso8", b"iso9", b"isoa", b"isob", b"isoc", b"tmap",
}  # fmt: skip
REFERENCES = {b"dimg", b"auxl", b"prem"}
GROUPS = {b"altr", b"ster"}  # alternatives; a stereo pair
WIDE = 1 << 32


class HeifWriter:
    """Writes the new file: the bytes of `head`, then the extents of the source in `media`."""

    def __init__(
        self,
        heif: Heif,
        images: Sequence[Item],
        data: dict[int, list[Extent]],
        properties: KeptProperties,
        sequence: ImageSequence | None,
    ) -> None:
        self._heif, self._images, self._properties = heif, images, properties
        self._wide_numbers = max(item.number for item in images) >= 1 << 16
        ordered = sorted(images, key=lambda item: (data[item.number][:1], item.number))
        outside = {item.number: data[item.number] for item in ordered if data[item.number] and not item.in_idat}
        inside = {item.number: data[item.number] for item in ordered if data[item.number] and item.in_idat}
        self._sequence = sequence
        self._places: dict[tuple[Extent, ...], Extent] = {}  # of samples and item data, relative to the media data
        self._tracks: list[int] = []
        self.media: list[Extent] = []
        media_bytes = 0
        for track in sequence.tracks if sequence else ():
            self._tracks.append(media_bytes)
            for sample in track.samples:
                length = sum(extent[1] for extent in sample)
                self._places.setdefault(tuple(sample), (media_bytes, length))
                self.media += sample
                media_bytes += length
        self._extents, added, media_bytes = _lay_out(outside, self._places, media_bytes)
        self.media = merge_extents(self.media + added)
        self._idat_extents, self._idat, _ = _lay_out(inside, {}, 0)
        self._offset_bytes = 8 if media_bytes + (64 << 20) >= WIDE else 4
        size = media_bytes + 8
        header = struct.pack(">I4s", size, b"mdat") if size < WIDE else struct.pack(">I4sQ", 1, b"mdat", size + 8)
        self._header = header if media_bytes else b""

    def head(self, idat: bytes) -> bytes:
        """Return everything before the media data. idat: the bytes of `idat_extents`."""
        ftyp = self._ftyp()
        first = len(ftyp + self._meta(0, idat) + self._moov(0) + self._header)
        return ftyp + self._meta(first, idat) + self._moov(first) + self._header

    def _moov(self, first: int) -> bytes:
        if self._sequence is None:
            return b""
        return self._sequence.box([first + at for at in self._tracks], wide=self._offset_bytes == 8)

    @property
    def idat_extents(self) -> list[Extent]:
        """Return the extents of the source whose bytes `head` takes."""
        return self._idat

    def _ftyp(self) -> bytes:
        tone_mapped = any(item.kind == b"tmap" for item in self._images)
        allowed = BRANDS if tone_mapped else BRANDS - {b"tmap"}
        major, *others = self._heif.brands
        others = [brand for brand in dict.fromkeys(others) if brand in allowed]
        return make(b"ftyp", major if major in allowed else b"mif1", bytes(4), *others)

    def _meta(self, first: int, idat: bytes) -> bytes:
        """Return the meta box. first: offset of the media data in the file."""
        parts = [
            make_full(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            make_full(b"pitm", 1 if self._wide_numbers else 0, 0, self._number(self._heif.primary)),
            self._iloc(first),
            self._iinf(),
            self._iref(),
            self._iprp(),
            make(b"idat", idat) if idat else b"",
            self._grpl(),
        ]
        return make_full(b"meta", 0, 0, *parts)

    def _number(self, number: int) -> bytes:
        return number.to_bytes(4 if self._wide_numbers else 2, "big")

    def _iloc(self, first: int) -> bytes:
        version = 2 if self._wide_numbers else 1 if self._idat_extents else 0
        size, entries = self._offset_bytes, []
        for item in sorted(self._images, key=lambda item: item.number):
            extents, base, method = self._extents, first, 0
            if item.number in self._idat_extents:
                extents, base, method = self._idat_extents, 0, 1
            if item.number not in extents:
                continue
            offset, length = extents[item.number]
            entries.append(
                self._number(item.number)
                + (struct.pack(">H", method) if version else b"")
                + struct.pack(">HH", 0, 1)
                + (base + offset).to_bytes(size, "big")
                + length.to_bytes(size, "big")
            )
        count = len(entries).to_bytes(4 if version == 2 else 2, "big")
        return make_full(b"iloc", version, 0, bytes([size << 4 | size, 0]), count, *entries)

    def _iinf(self) -> bytes:
        version = 3 if self._wide_numbers else 2
        entries = [
            make_full(b"infe", version, int(item.hidden), self._number(item.number), bytes(2), item.kind, b"\0")
            for item in self._images
        ]
        wide = len(entries) >= 1 << 16
        return make_full(b"iinf", int(wide), 0, len(entries).to_bytes(4 if wide else 2, "big"), *entries)

    def _iref(self) -> bytes:
        kept = {item.number for item in self._images}
        entries = []
        for link in self._heif.references:
            targets = [to for to in link.targets if to in kept]
            if link.kind in REFERENCES and link.origin in kept and targets:
                numbers = b"".join(map(self._number, targets))
                entries.append(make(link.kind, self._number(link.origin), struct.pack(">H", len(targets)), numbers))
        return make_full(b"iref", int(self._wide_numbers), 0, *entries) if entries else b""

    def _iprp(self) -> bytes:
        ipco = make(b"ipco", *(make(kind, content) for kind, content in self._properties.properties))
        wide = len(self._properties.properties) > 127
        entries = []
        for number, found in sorted(self._properties.associations.items()):
            if found:
                words = [(index + 1 | essential << (15 if wide else 7)) for index, essential in found]
                packed = b"".join(word.to_bytes(2 if wide else 1, "big") for word in words)
                entries.append(self._number(number) + bytes([len(found)]) + packed)
        ipma = make_full(b"ipma", int(self._wide_numbers), int(wide), struct.pack(">I", len(entries)), *entries)
        return make(b"iprp", ipco, ipma)

    def _grpl(self) -> bytes:
        kept = {item.number for item in self._images}
        entries = []
        for kind, number, members in self._heif.groups:
            left = [member for member in members if member in kept]
            if kind in GROUPS and len(left) > 1:
                entries.append(make_full(kind, 0, 0, struct.pack(f">{2 + len(left)}I", number, len(left), *left)))
        return make(b"grpl", *entries) if entries else b""


def _lay_out(
    data: dict[int, list[Extent]], places: dict[tuple[Extent, ...], Extent], size: int
) -> tuple[dict[int, Extent], list[Extent], int]:
    """Return the new extent of each item's data, the extents of the source to append for that, and the size after it.

    places  new extents of data that is already laid out; receives the others
    size    bytes that are already laid out
    """
    extents: dict[int, Extent] = {}
    added: list[Extent] = []
    for number, old in data.items():
        key = tuple(old)
        if key not in places:
            length = sum(extent[1] for extent in old)
            places[key] = size, length
            size += length
            added += old
        extents[number] = places[key]
    return extents, merge_extents(added), size
