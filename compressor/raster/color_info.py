"""The color information in AVIF and JPEG 2000 files, which Pillow does not return."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from PIL import ImageFile

from compressor import cicp, icc
from compressor.errors import CompressorError, UnsupportedError
from compressor.parsers import av1, heif, jp2
from compressor.parsers.boxes import Extents, Fields
from compressor.spool import CHUNK_BYTES

# Color spaces of matching profiles, by the number of channels without alpha.
SPACES = {1: "GRAY", 3: "RGB"}
INPUTS_MAX = 256  # of a derived image, that are examined
UNSPECIFIED = (cicp.UNSPECIFIED, cicp.UNSPECIFIED)


@dataclass(frozen=True)
class ColorInfo:
    """The color information of a file.

    icc      the embedded profile, or one made from code points; None for sRGB
    deep     whether samples have more than 8 bits; None where it is unknown
    notices  notices of what a profile can't describe
    """

    icc: bytes | None = None
    deep: bool | None = None
    notices: tuple[str, ...] = ()


class _File:
    """A seekable binary file as `spool.Readable`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)

    def read(self, start: int, count: int) -> bytes:
        self._file.seek(start)
        return self._file.read(count)

    def chunks(self) -> Iterator[bytes]:
        return (self.read(start, CHUNK_BYTES) for start in range(0, self.size, CHUNK_BYTES))


def read_color_info(image: ImageFile.ImageFile, format: str, channels: int) -> ColorInfo:
    """Read the color information of a file.

    image     image whose header Pillow has read
    channels  of the pixels
    """
    if format not in ("avif", "jp2") or image.fp is None:
        return ColorInfo()
    source = _File(image.fp)
    if format == "avif":
        return _avif_color_info(source, image.info.get("icc_profile"), channels)
    return _jp2_color_info(source, channels, image.mode)


def _avif_color_info(source: _File, profile: bytes | None, channels: int) -> ColorInfo:
    """Read the properties of an AVIF file's primary image.

    profile   the ICC profile that Pillow has found, which takes precedence over code points (ISO/IEC 23008-12, 6.5.5)
    """
    try:
        found = heif.read(source)
    except CompressorError:  # an image sequence, or a file that libavif accepts nevertheless
        return ColorInfo(icc=profile)
    images = [found.primary, *found.inputs().get(found.primary, [])[:INPUTS_MAX]]
    properties = [
        found.properties[index]
        for number in images
        if number in found.items
        for index, _ in found.items[number].properties
    ]
    deep = any(kind == b"av1C" and len(content) > 2 and content[2] & 0x40 for kind, content in properties)
    notices = []
    if any(kind == b"clap" for kind, _ in properties):
        notices.append("the clean aperture (clap) is not applied: the whole image is displayed")
    if profile is not None:
        return ColorInfo(profile, deep, tuple(notices))
    primaries, transfer = _code_points(source, found, images, properties)
    grey = channels < 3
    if cicp.code_points_are_srgb(1 if grey else primaries, transfer):
        return ColorInfo(None, deep, tuple(notices))
    profile = cicp.profile(primaries, transfer, grey)
    if profile is None:
        what = "brightness" if primaries == 1 else "colors and brightness"
        notices.append(
            f"the color space ({cicp.code_points_name(primaries, transfer)}) is not carried over: {what} will differ"
        )
    return ColorInfo(profile, deep, tuple(notices))


def _code_points(
    source: _File, found: heif.Heif, images: list[int], properties: list[tuple[bytes, bytes]]
) -> tuple[int, int]:
    """Return color primaries and transfer characteristics from `nclx` or, without one, from the coded image."""
    nclx = next((content for kind, content in properties if kind == b"colr" and content[:4] == b"nclx"), None)
    if nclx is not None:
        fields = Fields("AVIF", "colr", nclx)
        fields.take(4)
        return fields.number(2), fields.number(2)
    for number in images:
        if number in found.items and found.items[number].kind == b"av01" and not found.items[number].obstacle:
            return av1.code_points(Extents(source, found.items[number].extents)) or UNSPECIFIED
    return UNSPECIFIED


def _jp2_color_info(source: _File, channels: int, mode: str) -> ColorInfo:
    """Read the color specification of a JPEG 2000 file. Raises UnsupportedError for colors that are not converted.

    mode  Pillow's mode of the samples
    """
    if source.read(0, 4) == b"\xff\x4f\xff\x51":
        return ColorInfo()
    found = jp2.read_color_specification(source)
    deep = found.bits > 8
    if found.profile is not None:
        space = icc.color_space(found.profile)
        if mode == "CMYK" or space != SPACES[1 if channels < 3 else 3]:
            raise UnsupportedError(
                f"{jp2.TITLE}: an ICC profile for {space or 'an unknown color space'} is not converted"
            )
        return ColorInfo(found.profile, deep)
    if found.space is not None and found.space not in (jp2.SRGB, jp2.GREY, jp2.SYCC, jp2.CMYK, *jp2.BILEVEL):
        name = jp2.NAMES.get(found.space, f"of enumerated color space {found.space}")
        raise UnsupportedError(f"{jp2.TITLE}: colors {name} are not converted")
    return ColorInfo(deep=deep)
