"""The setting `subsampling` where the output is WebP or AVIF: applied or rejected, never ignored."""

from typing import Any

import numpy as np
import pytest

from compressor import pipeline
from compressor.errors import SettingsError, UnsupportedError
from compressor.settings import Format, Settings, Subsampling

RNG = np.random.default_rng(3)
PIXELS = RNG.integers(0, 256, (40, 64, 4), np.uint8)


def chroma(avif: bytes) -> tuple[int, int, int]:
    """Return monochrome, subsampling_x and subsampling_y of av1C (AV1 in ISOBMFF 2.3.3)."""
    flags = avif[avif.index(b"av1C") + 6]
    return flags >> 4 & 1, flags >> 3 & 1, flags >> 2 & 1


@pytest.mark.parametrize("requested, expected", [("auto", (1, 1)), ("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0))])
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_has_the_requested_chroma(requested: Any, expected: tuple[int, int], channels: int) -> None:
    data = pipeline.compress(PIXELS[:, :, :channels], format="avif", subsampling=requested, effort="fast").data

    assert chroma(data) == (0, *expected)


@pytest.mark.parametrize("requested", Subsampling)
def test_grey_avif_has_no_chroma(requested: Subsampling) -> None:
    assert chroma(pipeline.compress(PIXELS[:, :, 0], format="avif", subsampling=requested).data)[0] == 1


@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("requested", Subsampling)
def test_webp_is_made_only_with_chroma_that_it_supports(requested: Subsampling, lossless: bool) -> None:
    settings: dict[str, Any] = {"format": "webp", "subsampling": requested, "lossless": lossless}
    possible = {Subsampling.AUTO, Subsampling.S444 if lossless else Subsampling.S420}
    if requested in possible:
        assert pipeline.compress(PIXELS, **settings).report.format == "webp"
        return
    with pytest.raises(SettingsError if lossless else UnsupportedError, match=f"subsampling.*{requested}"):
        pipeline.compress(PIXELS, **settings)


def test_unsupported_chroma_is_rejected_with_the_header() -> None:
    png = pipeline.compress(PIXELS, format="png").data

    with pytest.raises(UnsupportedError, match="always 4:2:0"):
        pipeline.inspect([png], Settings(format=Format.WEBP, subsampling=Subsampling.S444))


def test_more_chroma_reserves_more_memory() -> None:
    png = pipeline.compress(PIXELS, format="png").data
    charged = [
        pipeline.inspect([png], Settings(format=Format.AVIF, subsampling=requested)).reserved_bytes
        for requested in (Subsampling.AUTO, Subsampling.S420, Subsampling.S422, Subsampling.S444)
    ]

    assert charged[1] < charged[2] < charged[3] == charged[0]  # drawings get 4:4:4
