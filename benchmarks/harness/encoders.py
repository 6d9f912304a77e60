"""Encoders from pixels to JPEG, 4:2:0, and from a JPEG file to a smaller one: ours at every effort, and alternatives.

Each is called as its users call it. A library is imported by the first call, so that the memory of a process includes
only the libraries that it uses.
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
    """An encoder from pixels to JPEG.

    hold     converts an image to the form that the library needs; `speed` times the function that it returns
    package  the package that has to be installed; "" if it is a dependency
    effort   our effort; "" for other encoders
    scale    the quality scale that it uses
    """

    name: str
    hold: Hold
    package: str = ""
    effort: str = ""
    scale: str = "libjpeg"

    def encode(self, pixels: Pixels, quality: int) -> bytes:
        """Convert and encode an image."""
        return self.hold(pixels)(quality)


def ours(effort: str) -> Hold:
    """Call the public API with immediate delivery, which is the default for pixels."""

    def hold(pixels: Pixels) -> Encode:
        import compressor

        def encode(quality: int) -> bytes:
            result = compressor.compress(
                pixels, quality=quality, effort=compressor.Effort(effort), subsampling="420", delivery="immediate"
            )
            return bytes(result.data)

        return encode

    return hold


def pillow(**options: bool) -> Hold:
    """Call Pillow, which uses libjpeg-turbo."""

    def hold(pixels: Pixels) -> Encode:
        image = Image.fromarray(pixels)

        def encode(quality: int) -> bytes:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=2, **options)
            return file.getvalue()

        return encode

    return hold


def jpegli(progressive: int) -> Hold:
    """Call jpegli through `ajpegli`: adaptive quantization, optimal codes. `progressive`: 2, its default, or 0."""

    def hold(pixels: Pixels) -> Encode:
        import ajpegli

        contiguous = np.ascontiguousarray(pixels)

        def encode(quality: int) -> bytes:
            return bytes(ajpegli.encode(contiguous, quality=quality, subsampling="420", progressive=progressive))

        return encode

    return hold


def mozjpeg(pixels: Pixels) -> Encode:
    """Call mozjpeg through libvips, with the options that mozjpeg's `cjpeg` sets by default."""
    import pyvips

    pyvips.cache_set_max(0)  # a cached result would not be encoded again
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


# --- JPEG files -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recoder:
    """A tool that makes a JPEG file smaller, decoding included.

    recode   takes a quality on the tool's own scale; lossless tools ignore it
    package  the package that has to be installed; "" if it is a dependency
    """

    name: str
    recode: Recode
    lossless: bool = False
    package: str = ""
    ours: bool = False


def recode_ours(effort: str) -> Recode:
    """Call the public API with its defaults: safe delivery, metadata kept."""

    def recode(data: bytes, quality: int) -> bytes:
        import compressor

        return bytes(compressor.compress(data, quality=quality, effort=compressor.Effort(effort)).data)

    return recode


def recode_lossless(data: bytes, _: int) -> bytes:
    """Call our lossless mode, which is the same at every effort and verifies the result before it returns it."""
    import compressor

    return bytes(compressor.compress(data, lossless=True).data)


def recode_pillow(data: bytes, quality: int) -> bytes:
    """Call Pillow with optimal Huffman codes."""
    with Image.open(io.BytesIO(data)) as image:
        file = io.BytesIO()
        kept = {"exif": image.info.get("exif", b""), "icc_profile": image.info.get("icc_profile")}
        image.save(file, "JPEG", quality=quality, optimize=True, **kept)
    return file.getvalue()


def recode_jpegli(data: bytes, quality: int) -> bytes:
    """Call jpegli through `ajpegli` as `cjpegli` does by default; it decodes the file, too, but drops metadata."""
    import ajpegli

    return bytes(ajpegli.encode(ajpegli.decode(data), quality=quality, subsampling="420", progressive=2))


def recode_mozjpeg(data: bytes, quality: int) -> bytes:
    """Call mozjpeg through libvips, which decodes row by row."""
    import pyvips

    pyvips.cache_set_max(0)
    image = pyvips.Image.new_from_buffer(data, "", access="sequential")
    return bytes(image.jpegsave_buffer(Q=quality, **MOZJPEG_OPTIONS))


def recode_jpegtran(data: bytes, _: int) -> bytes:
    """Call mozjpeg's `jpegtran -copy all` through the PyPI package `mozjpeg-lossless-optimization`."""
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
    """Return the encoders whose packages are installed; `compressor[bench]` has all of them."""
    return [one for one in encoders if not one.package or importlib.util.find_spec(one.package) is not None]
