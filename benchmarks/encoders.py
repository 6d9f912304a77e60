"""Pixels → JPEG, 4:2:0: ours at every effort, and what users can have instead, as its users call it."""

import importlib.util
import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from benchmarks.check import Pixels

Encode = Callable[[int], bytes]  # quality → a JPEG file of the held image
Hold = Callable[[Pixels], Encode]

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
        return bytes(
            image.jpegsave_buffer(
                Q=quality,
                optimize_coding=True,
                interlace=True,
                trellis_quant=True,
                overshoot_deringing=True,
                optimize_scans=True,
                quant_table=3,
                subsample_mode="on",
            )
        )

    return encode


OURS = tuple(Encoder(effort, ours(effort), effort=effort) for effort in EFFORTS)
PILLOW = Encoder("Pillow", pillow())
PILLOW_OPTIMIZE = Encoder("Pillow, optimize", pillow(optimize=True))
PILLOW_PROGRESSIVE = Encoder("Pillow, progressive", pillow(progressive=True))
MOZJPEG = Encoder("mozjpeg", mozjpeg, package="pyvips")
JPEGLI = Encoder("jpegli", jpegli(2), package="ajpegli", scale="jpegli")
JPEGLI_SEQUENTIAL = Encoder("jpegli, sequential", jpegli(0), package="ajpegli", scale="jpegli")


def installed(encoders: tuple[Encoder, ...]) -> list[Encoder]:
    """Those of them that can be measured here; `compressor[bench]` has all."""
    return [one for one in encoders if not one.package or importlib.util.find_spec(one.package) is not None]
