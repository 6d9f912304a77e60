"""Decoding of formats without a native path, through Pillow. The whole image is in memory, so its size is limited
before anything is decoded, and it is returned in bands without a second copy.

Peak memory above idle in bytes per pixel; "measured" with Pillow 13.0 on 9 megapixels, resident size of a new process:

                                      charged      measured
    the image: 1-bit, grey, palette   1            1.1 (GIF, PNG), 1.3 (TIFF)
               16-bit grey            2            2.2
               all others             4            4.1 (BMP, PNG, PNM, TIFF; JPEG in one scan)
    JPEG       a coefficient has two  + 3 (4:2:0)  7.1 progressive; a sequential JPEG may have several scans, too,
               bytes, kept for          6 (4:4:4)  10.1                      and is charged the same
               later scans              8 (CMYK)   12.1
    WebP       libwebp's canvases     + 12         16.1, 16.4 lossless
    AVIF       planes, frame, bytes   + 10, 14     9.4, 11.9 with alpha; both for 4:2:0 at 8 bits
    JPEG 2000  planes of 32 bits      + 6.5 each   19.4 of three channels
    TIFF       made upright           + 4          8.0

plus once or twice the file where the decoder needs all of it. The caller accounts for the file itself.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    ImageFile,
    ImagePalette,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.humanize import human_format
from compressor.metadata import Attachments
from compressor.raster import color_info, embedded, tiff
from compressor.raster.depth import is_deep
from compressor.settings import DENSITY_MAX
from compressor.sniff import PREFIX, sniff

# Called directly, not through `Image.open`: no other plugin can be reached, and Pillow's own limit, which is global to
# the process and warns before it raises, does not apply.
PLUGINS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "jpeg": JpegImagePlugin.JpegImageFile,
    "png": PngImagePlugin.PngImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "avif": AvifImagePlugin.AvifImageFile,
    "jp2": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "pnm": PpmImagePlugin.PpmImageFile,
}
DEEP = "more than 8 bits per sample"
REDUCED = f"{DEEP} reduced to 8"
PIXELS_MAX = 1 << 28  # 1 GiB at 4 bytes each; the byte budget is usually nearer

# Mode and channels of the bands, by mode of the image.
BAND_MODES = {
    **dict.fromkeys(("1", "L"), ("L", 1)),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I"), ("L", 1)),
    **dict.fromkeys(("LA", "La"), ("LA", 2)),
    **dict.fromkeys(("P", "RGB", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"), ("RGB", 3)),
    **dict.fromkeys(("PA", "RGBA", "RGBa"), ("RGBA", 4)),
}
WITH_ALPHA = {"1": ("LA", 2), "L": ("LA", 2), "P": ("RGBA", 4), "RGB": ("RGBA", 4)}
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}

# Tags of a TIFF that describe the image, not the file (TIFF 6.0 section 8, Exif 2.32).
TIFF_TEXTS = (270, 271, 272, 305, 306, 315, 33432)
EXIF_IFD, GPS_IFD, INTEROPERABILITY_IFD = 0x8769, 0x8825, 0xA005


def open(file: BinaryIO, format: str | None = None) -> "Raster":
    """Read the header of a seekable file. format: as `sniff` names it, or None to detect it."""
    if format is None:
        file.seek(0)
        format = sniff(file.read(PREFIX))
    if format not in PLUGINS:
        raise UnsupportedError(f"{human_format(format)}: this format can't be read")
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    try:
        tiff_properties = tiff.examine(file) if format == "tiff" else None
        file.seek(0)
        image = PLUGINS[format](file)
        return Raster(image, format, size, tiff_properties)
    except Exception as error:  # of any kind, see translate
        translate(error, format, "header")


def translate(error: Exception, format: str, place: str) -> NoReturn:
    """Raise one of our errors for an error of Pillow: SyntaxError, OSError, ValueError, struct.error and others.

    A CompressorError of the file that Pillow reads may be the cause of another error: OpenJPEG makes it a SystemError.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CompressorError):
            raise cause
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, MemoryError | Image.DecompressionBombError):
        raise LimitError(f"{human_format(format)}: {place}: out of memory") from None
    problem = " ".join(str(error).split()) or type(error).__name__
    if any(word in problem.lower() for word in ("unsupported", "not supported", "unknown", "not implemented")):
        raise UnsupportedError(f"{human_format(format)}: {place}: {problem}") from None
    raise FormatError(human_format(format), place, None, problem) from None


class Raster:
    """An image whose header has been read; its pixels are decoded when the first band is asked for.

    width, height, channels   of the bands: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    frames                    1, or 2 for two or more, without thumbnails of a TIFF; only the first is read
    loss                      property of the samples that the bands lose ("more than 8 bits per sample"), or ""
    bit_depth                 of the bands' samples: 8, or 16 after `keep_depth`
    reserved_bytes            peak memory above idle, with the bands, by the table above
    notices                   notices of what pixels or metadata lose; complete after the bands
    """

    def __init__(
        self,
        image: ImageFile.ImageFile,
        format: str,
        file_bytes: int,
        tiff_properties: tiff.TiffProperties | None = None,
    ) -> None:
        self._image: ImageFile.ImageFile = image
        self._tiff = tiff_properties
        self.format = format
        self.width, self.height = image.size
        if self.width * self.height > PIXELS_MAX:
            raise LimitError(
                f"{human_format(format)}: {self.width} x {self.height} pixels, at most {PIXELS_MAX} are read"
            )
        transparent = "transparency" in image.info
        modes = WITH_ALPHA if transparent and image.mode in WITH_ALPHA else BAND_MODES
        if image.mode not in modes or (image.mode == "I" and format == "tiff"):
            raise UnsupportedError(f"{human_format(format)}: pixels of Pillow's mode {image.mode}")
        self._mode, self.channels = modes[image.mode]
        self._boxed = color_info.read_color_info(image, format, self.channels)
        self.frames = 2 if format not in ("jpeg", "jp2") and getattr(image, "is_animated", False) else 1
        if tiff_properties is not None:
            self.frames = tiff_properties.pages
            if tiff_properties.color_map is not None:
                image.palette = ImagePalette.raw("RGB;L", tiff_properties.color_map)
        self.reserved_bytes = self._decoding_bytes(file_bytes)
        self.bit_depth = 8
        self.loss = self._pixel_loss()
        self.notices: list[str] = self._pixel_notices(transparent)
        self._transform: ImageCms.ImageCmsTransform | None = None
        self.metadata = self._metadata()

    def _decoding_bytes(self, file_bytes: int) -> int:
        """Return the peak memory by the table of the module's docstring."""
        pixels = self.width * self.height
        each = float(PIXEL_BYTES.get(self._image.mode, 4))
        if self.format == "jpeg":
            layers: list[tuple[int, int, int, int]] = getattr(self._image, "layer", [])
            if len(layers) > 1 or self._image.info.get("progressive"):
                largest = max(h for _, h, _, _ in layers) * max(v for _, _, v, _ in layers)
                each += 2 * sum(h * v for _, h, v, _ in layers) / max(1, largest)
        elif self.format == "webp":
            each += 12
        elif self.format == "avif":
            each += 14 if self.channels == 4 else 10
        elif self.format == "jp2":
            each += 6.5 * len(self._image.getbands())
        elif self.format == "tiff":
            each += 4 if getattr(self._image, "tag_v2", {}).get(274) not in (None, 1) else 0
        copies = {"webp": 2, "avif": 2, "jp2": 1, "tiff": 1}.get(self.format, 0)
        bands = 64 * self.width * 8
        return int(pixels * each) + bands + copies * file_bytes + (1 << 20)

    def _pixel_loss(self) -> str:
        deep = is_deep(self._image, self.format) if self._boxed.deep is None else self._boxed.deep
        if self._image.mode.startswith("I") or deep:
            return DEEP
        if self._image.mode in ("CMYK", "LAB", "HSV"):
            return self._image.mode
        return "premultiplied alpha" if self._tiff is not None and self._tiff.premultiplied else ""

    def _pixel_notices(self, transparent: bool) -> list[str]:
        mode, notices = self._image.mode, []
        if self.loss == DEEP:
            notices.append(REDUCED)
        if self._tiff is not None and self._tiff.thumbnails:
            notices.append(f"thumbnails in the file were dropped: {self._tiff.thumbnails}")
        if self._tiff is not None and self._tiff.unnamed:
            notices.append(f"unspecified extra samples were dropped: {self._tiff.unnamed} of each pixel")
        if transparent and mode.startswith("I"):
            notices.append("the transparent color was dropped")
        if mode in ("YCbCr", "LAB", "HSV"):
            notices.append(f"{mode} converted to RGB")
        if self.format == "jpeg" and "mp" in self._image.info:
            notices.append("additional images in the file (MPF) were dropped")
        return notices

    def _metadata(self) -> Attachments:
        info, image = self._image.info, self._image
        icc = info.get("icc_profile") or self._boxed.icc
        self.notices += self._boxed.notices
        if image.mode == "CMYK":
            self._transform, notice = cmyk_transform(icc)
            self.notices.append(notice)
            icc = None  # the pixels are sRGB now
        elif image.mode in ("LAB", "HSV"):
            icc = None  # that of YCbCr is for the RGB that it becomes
        if self.format == "gif" and image.fp is not None:
            return embedded.gif_attachments(image.fp)
        if self.format == "bmp" and image.fp is not None:
            icc, notices = embedded.bmp_profile(image.fp)
            self.notices += notices
        exif = tiff_exif(image) if self.format == "tiff" else info.get("exif")
        xmp = info.get("xmp")
        comment = embedded.text(info.get("comment"))
        return Attachments(
            icc=icc,
            exif=exif.removeprefix(b"Exif\0\0") if exif else None,
            xmp=xmp.encode() if isinstance(xmp, str) else xmp or None,
            comments=(comment,) if comment else (),
            density=density(info.get("dpi")),
            aspect=aspect(info),
        )

    def has_few_colors(self, most: int = 256) -> bool:
        """Decode the first frame and return whether it has at most `most` colors."""
        try:
            self._image.load()
            return self._image.getcolors(most) is not None
        except Exception as error:
            translate(error, self.format, "pixels")

    def keep_depth(self) -> None:
        """Switch to 16-bit bands for grey images with more than 8 bits. For color, Pillow itself keeps only 8 bits."""
        if self._image.mode.startswith("I") and self.bit_depth == 8:
            self.bit_depth, self.loss = 16, ""
            self.notices.remove(REDUCED)

    def bands(self, lines: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of the first frame, uint8 (n, width, channels), n = `lines` except for the last. Read-only.

        With a `bit_depth` of 16 they are (n, width, 2), big-endian.
        """
        try:
            self._image.load()
            for top in range(0, self.height, lines):
                band = self._image.crop((0, top, self.width, min(top + lines, self.height)))
                pixels = self._convert(band)
                yield pixels.reshape(-1, self.width, self.channels * self.bit_depth // 8)
        except Exception as error:
            translate(error, self.format, "pixels")

    def _convert(self, band: Image.Image) -> NDArray[np.uint8]:
        if band.mode.startswith("I"):
            white = 65535 if self._tiff is None else self._tiff.white
            return scale_grey(band, white, (1 << self.bit_depth) - 1)
        if self._transform is not None:
            band = ImageCms.applyTransform(band, self._transform) or band
        elif band.mode != self._mode:
            band = band.convert(self._mode)
        return np.frombuffer(band.tobytes(), np.uint8)

    def close(self) -> None:
        """Release the pixels. The caller closes the file."""
        self._image.fp = None
        self._image.close()


def cmyk_transform(icc: bytes | None) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """Return the transform from CMYK to sRGB, None for Pillow's own formula, and a notice of it.

    Pillow has already undone Adobe's inversion; the profile specifies the inks.
    """
    if not icc:
        return None, "CMYK converted to RGB without a profile: colors may differ"
    try:
        inks, srgb = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(inks, srgb, "CMYK", "RGB"), "CMYK converted to sRGB by its ICC profile"
    except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
        return None, "CMYK converted to RGB without its ICC profile, which is damaged"


def tiff_exif(image: Image.Image) -> bytes | None:
    """Return Exif from a TIFF's directories, without tags of the file and the orientation, which Pillow applies."""
    source, exif = image.getexif(), Image.Exif()
    for tag in TIFF_TEXTS:
        if tag in source:
            exif[tag] = source[tag]
    for directory in (EXIF_IFD, GPS_IFD):
        if found := source.get_ifd(directory):
            exif.get_ifd(directory).update(found)
    if interoperability := source.get_ifd(INTEROPERABILITY_IFD):
        exif.get_ifd(EXIF_IFD)[INTEROPERABILITY_IFD] = dict(interoperability)
    return exif.tobytes() if len(exif) or source.get_ifd(EXIF_IFD) or source.get_ifd(GPS_IFD) else None


def scale_grey(band: Image.Image, white: int, peak: int) -> NDArray[np.uint8]:
    """Return grey samples of 0 … white scaled to 0 … peak, rounded, in one or two bytes; Pillow would clip them."""
    kind = {"I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2"}.get(band.mode, "i4")
    samples = np.frombuffer(band.tobytes(), kind)
    if white != peak:
        samples = (samples.astype(np.int64).clip(0, white) * peak + white // 2) // white
    return samples.clip(0, peak).astype(">u2" if peak > 255 else np.uint8).view(np.uint8)


def aspect(info: Mapping[str | tuple[int, int], object]) -> tuple[int, int] | None:
    """Return pixels per unknown unit, horizontally and vertically, where a file has no other density and these differ.

    JFIF, TIFF and PNG have densities without a unit (T.871, 10.1; TIFF 6.0, ResolutionUnit 1; PNG, pHYs).
    """
    pair = info.get("jfif_density") if info.get("jfif_unit") == 0 else info.get("resolution") or info.get("aspect")
    if density(pair) is None or info.get("dpi"):
        return None
    across, down = map(float, pair)  # type: ignore[call-overload]
    ratio = Fraction(across / down).limit_denominator(10_000)
    return (ratio.numerator, ratio.denominator) if ratio > 0 and ratio != 1 else None


def density(dpi: object) -> tuple[int, int] | None:
    """Return pixels per meter for Pillow's pair of pixels per inch, None where no format can hold them."""
    try:
        x, y = (round(float(value) / 0.0254) for value in dpi)  # type: ignore[attr-defined]
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return (x, y) if min(x, y) > 0 and max(x, y) <= DENSITY_MAX else None
