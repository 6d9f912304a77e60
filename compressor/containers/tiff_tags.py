"""The tags of a TIFF that describe its samples or its color space, and the number of values each can have."""

from compressor import icc
from compressor.containers.tiff_strips import BYTE_COUNTS, Strips
from compressor.parsers.tiff import BITS, LENGTH, SAMPLES, WIDTH, Directory, DirectoryEntry, TiffFile

NUMERIC_TYPES = frozenset((1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 16, 17, 18))
BYTE_TYPES = frozenset((1, 7))

# Tags needed to interpret the samples: the number of values …
FIXED = {
    **dict.fromkeys((254, 255, WIDTH, LENGTH, 259, 262, 266, 274, SAMPLES, 278, 284, 292, 293, 317, 322, 323), 1),
    **dict.fromkeys((332, 334, 531, 32995, 32996, 32997, 32998, 37439), 1),
    **dict.fromkeys((530, 50674), 2),
    529: 3,
}
# … or the number for each sample of a pixel.
PER_SAMPLE = {BITS: 1, 280: 1, 281: 1, 336: 2, 338: 1, 339: 1, 340: 1, 341: 1, 532: 2}
COLOR_MAP, JPEG_TABLES, ICC, C2PA = 320, 347, 34675, 52545
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
GRAY_CURVE, TRANSFER_FUNCTION, INK_NAMES = 291, 301, 333
COLORS = {290: 1, GRAY_CURVE: 0, TRANSFER_FUNCTION: 0, 318: 2, 319: 6, INK_NAMES: 0, ICC: 0}
INK_NAMES_BYTES_MAX = 4096
BITS_MAX = 16  # of samples that index a table

# TIFF 6.0, TIFF/FX, and those with a libtiff codec. Excluded are 6, old JPEG, whose tags have values of unbounded size,
# and JPEG 2000 and JPEG XL, which contain boxes.
COMPRESSIONS = frozenset((
    1, 2, 3, 4, 5, 7, 8, 32766, 32771, 32773, 32809, 32908, 32909, 32946, 34661, 34676, 34677, 34887, 34925, 50000,
    50001,
))  # fmt: skip
PHOTOMETRICS = frozenset((0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 32844, 32845))
RAW_PHOTOMETRICS = {32803: "a color filter array", 34892: "linear raw"}
OTHER_FORMATS = {
    50706: "DNG",
    37398: "camera raw (TIFF/EP)",
    33421: "camera raw (a color filter array)",
    33422: "camera raw (a color filter array)",
    559: "TIFF/FX with strips of varying height",
    33628: "a MetaMorph stack",
    33629: "a MetaMorph stack",
    34412: "Zeiss LSM",
}
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD, SUB_IFDS = 34665, 34853, 40965, 330
POINTERS = (SUB_IFDS, EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD)

# Tags of the first page that `raster.reader` carries over to a new file.
CARRIED = frozenset((270, 271, 272, 305, 306, 315, 33432, 282, 283, 296, 700, EXIF_IFD, GPS_IFD, ICC))
# Storage, scanning and page layout: without value in a new file.
INDIFFERENT = frozenset((263, 264, 265, 288, 289, 297, 321, 326, 327, 328, 342, 512, 513, 514))

NAMES = {
    269: "DocumentName",
    285: "PageName",
    286: "XPosition",
    287: "YPosition",
    290: "GrayResponseUnit",
    291: "GrayResponseCurve",
    301: "TransferFunction",
    316: "HostComputer",
    318: "WhitePoint",
    319: "PrimaryChromaticities",
    330: "images in SubIFDs",
    333: "InkNames",
    33550: "GeoTIFF",
    33922: "GeoTIFF",
    34264: "GeoTIFF",
    34735: "GeoTIFF",
    34736: "GeoTIFF",
    34737: "GeoTIFF",
    33723: "IPTC",
    34377: "Photoshop resources",
    37724: "Photoshop layers",
    42112: "GDAL metadata",
    C2PA: "content credentials (C2PA)",
}


def name(tag: int) -> str:
    """Return the name of a tag."""
    return NAMES.get(tag, f"tag {tag}")


def is_of_samples(tag: int) -> bool:
    """Return whether a tag is needed to interpret the samples."""
    tables = (*BYTE_COUNTS, *BYTE_COUNTS.values(), COLOR_MAP, JPEG_TABLES)
    return tag in FIXED or tag in PER_SAMPLE or tag in tables


def is_carried(tag: int) -> bool:
    """Return whether a new file has the information of a tag, or has no use for it."""
    return is_of_samples(tag) or tag in CARRIED or tag in INDIFFERENT


class Limits:
    """The number of values to keep of each tag of a page."""

    def __init__(self, file: TiffFile, page: Directory, strips: Strips, color: bool) -> None:
        self._file, self._page, self._color = file, page, color
        self._samples = file.number(page, SAMPLES, 1)
        bits = file.number(page, BITS, 1)
        self._levels = 1 << bits if 1 <= bits <= BITS_MAX else 0
        self._strips = strips
        self._resolution = self._has_oblong_pixels()

    def count(self, entry: DirectoryEntry) -> int:
        """Return the number of an entry's values to keep, 0 to remove it."""
        tag, most = entry.tag, 0
        types = NUMERIC_TYPES
        if tag in self._strips.tags:
            most = len(self._strips.starts)
        elif tag in FIXED:
            most = FIXED[tag]
        elif tag in PER_SAMPLE:
            most = PER_SAMPLE[tag] * self._samples
        elif tag == COLOR_MAP:
            most = 3 * self._levels
        elif tag == JPEG_TABLES:
            most, types = entry.count, BYTE_TYPES
        elif tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT):
            most = int(self._resolution)
        elif self._color and tag in COLORS:
            most, types = self._color_count(entry)
        return min(most, entry.count) if entry.kind in types else 0

    def _color_count(self, entry: DirectoryEntry) -> tuple[int, frozenset[int]]:
        if entry.tag == ICC:
            return self._profile_bytes(entry), BYTE_TYPES
        if entry.tag == INK_NAMES:
            return INK_NAMES_BYTES_MAX, frozenset((2,))
        if entry.tag == TRANSFER_FUNCTION:
            return self._levels * (1 if entry.count < 3 * self._levels else 3), NUMERIC_TYPES
        return COLORS[entry.tag] or self._levels, NUMERIC_TYPES

    def _profile_bytes(self, entry: DirectoryEntry) -> int:
        """Return the size in an ICC profile's header (ICC.1 7.2.2), 0 where the data is not a profile."""
        profile = self._file.values(entry)
        size = int.from_bytes(profile[:4], "big")
        return size if 128 <= size <= len(profile) and profile[36:40] == b"acsp" and icc.color_space(profile) else 0

    def _has_oblong_pixels(self) -> bool:
        """Return whether the horizontal and the vertical resolution differ."""
        found = []
        for tag in (X_RESOLUTION, Y_RESOLUTION):
            entry = self._page.find(tag)
            if entry is None or entry.kind != 5 or entry.count != 1:
                return False
            data = self._file.values(entry)
            found.append((self._file.integer(data[:4]), self._file.integer(data[4:])))
        (x, x_unit), (y, y_unit) = found
        return min(x, x_unit, y, y_unit) > 0 and x * y_unit != y * x_unit
