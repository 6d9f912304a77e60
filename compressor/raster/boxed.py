"""How the colours of AVIF and JPEG 2000 files are meant, which Pillow does not say."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL import ImageFile

from compressor import cicp, icc
from compressor.errors import CompressorError, UnsupportedError
from compressor.parsers import av1, heif, jp2
from compressor.parsers.boxes import Fields, Pieces
from compressor.spool import CHUNK_BYTES

# Colour spaces of profiles that fit the pixels, by how many channels these have without alpha.
SPACES = {1: "GRAY", 3: "RGB"}
INPUTS_MAX = 256  # of the pictures that one is derived from, so many are looked at
UNSPECIFIED = (cicp.UNSPECIFIED, cicp.UNSPECIFIED)


@dataclass(frozen=True)
class Colors:
    """What a file says of its colours.

    icc      a profile, its own or made from its code points, or None where it is sRGB
    deep     whether it has more than 8 bits a sample; None where it does not say
    notices  what can't be said by a profile
    """

    icc: bytes | None = None
    deep: bool | None = None
    notices: tuple[str, ...] = ()


class _File:
    """A seekable binary file, as `memory.Readable`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)

    def read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        return self._file.read(count)

    def chunks(self) -> Iterator[bytes]:
        return (self.read(start, CHUNK_BYTES) for start in range(0, self.size, CHUNK_BYTES))


def colors(image: ImageFile.ImageFile, format: str, channels: int) -> Colors:
    """Read what a file says of its colours.

    image     whose header Pillow has read
    channels  of the pixels
    """
    if format not in ("avif", "jp2") or image.fp is None:
        return Colors()
    source = _File(image.fp)
    if format == "avif":
        return _of_avif(source, image.info.get("icc_profile"), channels)
    return _of_jp2(source, channels, image.mode)


def _of_avif(source: _File, profile: bytes | None, channels: int) -> Colors:
    """Read the properties of an AVIF file's primary picture.

    profile   the ICC profile that Pillow has found: it says more than code points do (ISO/IEC 23008-12, 6.5.5)
    """
    try:
        found = heif.read(source)
    except CompressorError:  # an image sequence, or one that libavif takes all the same
        return Colors(icc=profile)
    pictures = [found.primary, *found.inputs().get(found.primary, [])[:INPUTS_MAX]]
    properties = [
        found.properties[index]
        for number in pictures
        if number in found.items
        for index, _ in found.items[number].properties
    ]
    deep = any(kind == b"av1C" and len(content) > 2 and content[2] & 0x40 for kind, content in properties)
    notices = []
    if any(kind == b"clap" for kind, _ in properties):
        notices.append("the clean aperture (clap) is not applied: the whole picture is shown")
    if profile is not None:
        return Colors(profile, deep, tuple(notices))
    primaries, transfer = _code_points(source, found, pictures, properties)
    grey = channels < 3
    if cicp.is_srgb(1 if grey else primaries, transfer):
        return Colors(None, deep, tuple(notices))
    profile = cicp.profile(primaries, transfer, grey)
    if profile is None:
        what = "brightness" if primaries == 1 else "colours and brightness"
        notices.append(
            f"the samples are meant as {cicp.title(primaries, transfer)}, which is not carried over: {what} will differ"
        )
    return Colors(profile, deep, tuple(notices))


def _code_points(
    source: _File, found: heif.Heif, pictures: list[int], properties: list[tuple[bytes, bytes]]
) -> tuple[int, int]:
    """Return primaries and transfer characteristics by `nclx` or, without it, by the coded picture."""
    nclx = next((content for kind, content in properties if kind == b"colr" and content[:4] == b"nclx"), None)
    if nclx is not None:
        fields = Fields("AVIF", "colr", nclx)
        fields.take(4)
        return fields.number(2), fields.number(2)
    for number in pictures:
        if number in found.items and found.items[number].kind == b"av01" and not found.items[number].obstacle:
            return av1.code_points(Pieces(source, found.items[number].parts)) or UNSPECIFIED
    return UNSPECIFIED


def _of_jp2(source: _File, channels: int, mode: str) -> Colors:
    """Read the colour specification of a JPEG 2000 file. Raises UnsupportedError for colours that are not converted.

    mode  what Pillow takes the samples for
    """
    if source.read(0, 4) == b"\xff\x4f\xff\x51":
        return Colors()
    found = jp2.colors(source)
    deep = found.bits > 8
    if found.profile is not None:
        space = icc.color_space(found.profile)
        if mode == "CMYK" or space != SPACES[1 if channels < 3 else 3]:
            raise UnsupportedError(f"JPEG 2000: colours by an ICC profile for {space or 'nothing'} are not converted")
        return Colors(found.profile, deep)
    if found.space is not None and found.space not in (jp2.SRGB, jp2.GREY, jp2.SYCC, jp2.CMYK, *jp2.BILEVEL):
        name = jp2.NAMES.get(found.space, f"of the enumerated space {found.space}")
        raise UnsupportedError(f"JPEG 2000: colours {name} are not converted")
    return Colors(deep=deep)
