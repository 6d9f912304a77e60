"""Pixels → JPEG, 4:2:0, and a JPEG file → a smaller one: ours at every effort, and what users can have instead.

Each is called as its users call it. Nothing is imported before it is called: the memory of what was not is not held.
"""

import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmarks.harness.fidelity import Pixels

Encode = Callable[[int], bytes]  # quality → a JPEG file of the held image
Hold = Callable[[Pixels], Encode]
Recode = Callable[[bytes, int], bytes]  # a JPEG file and a quality → a JPEG file

EFFORTS = ("fast", "balanced", "best")


@dataclass(frozen=True)
class Encoder:
    """One way to make a JPEG.

    hold     takes an image over, in whatever form the library wants it; what it returns is what speed times
    package  what has to be installed, "" for what always is
    effort   ours, or ""
    scale    whose meaning `quality` has
    """

    name: str
    hold: Hold
    package: str = ""
    effort: str = ""
    scale: str = "libjpeg"

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        return self.hold(pixels)(quality)


def ours(effort: str) -> Hold:
    """The public API; bytes are given as they are made, which is the default for pixels."""

    def hold(pixels: Pixels) -> Encode:
        import compressor

        def encode(quality: int) -> bytes:
            result = compressor.compress(
                pixels, quality=quality, effort=effort, subsampling="420", delivery="immediate"
            )
            return bytes(result.data)

        return encode

    return hold


def pillow(**options: bool) -> Hold:
    """Pillow, that is libjpeg-turbo."""

    def hold(pixels: Pixels) -> Encode:
        image = Image.fromarray(pixels)

        def encode(quality: int) -> bytes:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=2, **options)
            return file.getvalue()

        return encode

    return hold


def jpegli(progressive: int) -> Hold:
    """jpegli by `ajpegli`: adaptive quantization, optimal codes; `progressive` 2 is its default, 0 is sequential."""

    def hold(pixels: Pixels) -> Encode:
        import ajpegli

        whole = np.ascontiguousarray(pixels)

        def encode(quality: int) -> bytes:
            return bytes(ajpegli.encode(whole, quality=quality, subsampling="420", progressive=progressive))

        return encode

    return hold


def mozjpeg(pixels: Pixels) -> Encode:
    """mozjpeg by libvips, with all that its users turn on: what `cjpeg` of mozjpeg does by default."""
    import pyvips

    pyvips.cache_set_max(0)  # what was made once must be made again
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")

    def encode(quality: int) -> bytes:
        return bytes(image.jpegsave_buffer(Q=quality, **MOZJPEG_OPTIONS))

    return encode


MOZJPEG_OPTIONS = {
    "optimize_coding": True,
    "interlace": True,
    "trellis_quant": True,
    "overshoot_deringing": True,
    "optimize_scans": True,
    "quant_table": 3,
    "subsample_mode": "on",
}


OURS = tuple(Encoder(effort, ours(effort), effort=effort) for effort in EFFORTS)
PILLOW = Encoder("Pillow", pillow())
PILLOW_OPTIMIZE = Encoder("Pillow, optimize", pillow(optimize=True))
PILLOW_PROGRESSIVE = Encoder("Pillow, progressive", pillow(progressive=True))
MOZJPEG = Encoder("mozjpeg", mozjpeg, package="pyvips")
JPEGLI = Encoder("jpegli", jpegli(2), package="ajpegli", scale="jpegli")
JPEGLI_SEQUENTIAL = Encoder("jpegli, sequential", jpegli(0), package="ajpegli", scale="jpegli")


# --- files --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recoder:
    """One way from a JPEG file to a smaller one, decoding included.

    recode    its quality is of the tool's own scale, and not read where it is lossless
    package   what has to be installed, "" for what always is
    ours      or another's
    """

    name: str
    recode: Recode
    lossless: bool = False
    package: str = ""
    ours: bool = False


def recode_ours(effort: str) -> Recode:
    """The public API with its defaults: safe delivery, metadata kept."""

    def recode(data: bytes, quality: int) -> bytes:
        import compressor

        return bytes(compressor.compress(data, quality=quality, effort=effort).data)

    return recode


def recode_lossless(data: bytes, _: int) -> bytes:
    """Ours, the same at every effort: the result is decoded and compared before it is given out."""
    import compressor

    return bytes(compressor.compress(data, lossless=True).data)


def recode_pillow(data: bytes, quality: int) -> bytes:
    """Pillow with optimal codes."""
    with Image.open(io.BytesIO(data)) as image:
        file = io.BytesIO()
        kept = {"exif": image.info.get("exif", b""), "icc_profile": image.info.get("icc_profile")}
        image.save(file, "JPEG", quality=quality, optimize=True, **kept)
    return file.getvalue()


def recode_jpegli(data: bytes, quality: int) -> bytes:
    """jpegli by `ajpegli`, which decodes too, but no metadata; as its `cjpegli` does by default."""
    import ajpegli

    return bytes(ajpegli.encode(ajpegli.decode(data), quality=quality, subsampling="420", progressive=2))


def recode_mozjpeg(data: bytes, quality: int) -> bytes:
    """mozjpeg by libvips, which decodes row by row."""
    import pyvips

    pyvips.cache_set_max(0)
    image = pyvips.Image.new_from_buffer(data, "", access="sequential")
    return bytes(image.jpegsave_buffer(Q=quality, **MOZJPEG_OPTIONS))


def recode_jpegtran(data: bytes, _: int) -> bytes:
    """mozjpeg's `jpegtran -copy all`, by the PyPI package `mozjpeg-lossless-optimization`."""
    import mozjpeg_lossless_optimization as mozjpeg_lossless

    return bytes(mozjpeg_lossless.optimize(data, mozjpeg_lossless.COPY_MARKERS.ALL))


RECODERS = (
    *(Recoder(effort, recode_ours(effort), ours=True) for effort in EFFORTS),
    Recoder("Pillow, optimize", recode_pillow),
    Recoder("jpegli", recode_jpegli, package="ajpegli"),
    Recoder("mozjpeg", recode_mozjpeg, package="pyvips"),
    Recoder("lossless", recode_lossless, lossless=True, ours=True),
    Recoder("mozjpeg's jpegtran", recode_jpegtran, lossless=True, package="mozjpeg_lossless_optimization"),
)

AnyEncoder = TypeVar("AnyEncoder", Encoder, Recoder)


def installed(encoders: tuple[AnyEncoder, ...]) -> list[AnyEncoder]:
    """Those of them that can be measured here; `compressor[bench]` has all."""
    return [one for one in encoders if not one.package or importlib.util.find_spec(one.package) is not None]
