"""Plans: made from the header alone, one or several for an image, and started later."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from compressor import png
from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.jpeg.reader import read_header
from compressor.memory import Resources
from compressor.pipeline.pixels import ArrayPixels, JpegPixels, PngPixels, RawPixels
from compressor.pipeline.routes import Plan, Route, RouteContext
from compressor.pipeline.routing import route_raw
from compressor.pipeline.stages import Stages
from compressor.pipeline.to_jpeg import plan_jpeg_to_jpeg, plan_pixels_to_jpeg
from compressor.pipeline.to_other import plan_pixels_to_other
from compressor.pipeline.to_png import plan_pixels_to_png, plan_png_to_png
from compressor.settings import Effort, Format, Raw, Settings, Tile
from compressor.spool import Spool
from compressor.tiles import Band
from tests.pipeline.test_pipeline import JPEG, PNG, decoded, photograph
from tests.planted.profiles import rgb_profile

SIDE = 40
RAW = Raw(width=SIDE, height=SIDE, channels=3, tile_width=SIDE, tile_height=SIDE)
Working = Callable[[Settings], RouteContext]
LATER = "used before the route was started"


class UnusedStages(Stages):
    """Stages that no plan may use."""

    def enter(self, name: str) -> str:
        raise AssertionError(LATER)


class UnusedArray(ArrayPixels):
    """An array that no plan may read."""

    def bands(self, lines: int) -> Iterator[Band]:
        raise AssertionError(LATER)


def unused(*_: object) -> NoReturn:
    raise AssertionError(LATER)


def no_tiles() -> Iterator[Tile]:
    yield from map(unused, [None])


def header_only(data: bytes) -> Iterator[bytes]:
    """Yield the first bytes of a file, which have its header, and no more."""
    yield data[:1000]
    raise AssertionError(LATER)


def context_for(settings: Settings) -> RouteContext:
    """Return a context whose stages, spools and memory no plan may use."""
    return RouteContext(settings, UnusedStages(), spool=unused, charge=unused)


@pytest.fixture
def working() -> Iterator[Working]:
    """Make contexts for routes that are started."""
    spools: list[Spool] = []

    def spool() -> Spool:
        spools.append(Resources().spool())
        return spools[-1]

    yield lambda settings: RouteContext(settings, Stages(), spool, lambda count: None)
    for used in spools:
        used.close()


def pixel_plan(pixels: ArrayPixels | PngPixels | RawPixels | JpegPixels, context: RouteContext) -> Plan:
    target = context.settings.format
    if target is Format.JPEG:
        return plan_pixels_to_jpeg(pixels, context)
    if target is Format.PNG:
        return plan_pixels_to_png(pixels, context, two_passes=True)
    return plan_pixels_to_other(pixels, context)


def run(route: Route) -> bytes:
    """Return the result of a route; its body is made first."""
    route.prepare()
    body = b"".join(map(bytes, route.body()))
    return route.head() + body


FORMATS = [Format.JPEG, Format.PNG, Format.WEBP, Format.AVIF]


# --- planning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effort", Effort)
@pytest.mark.parametrize("format", FORMATS)
def test_a_plan_of_pixels_reads_nothing_and_makes_no_spool(format: Format, effort: Effort) -> None:
    array = np.zeros((SIDE, SIDE, 3), np.uint8)
    stream = ByteStream(header_only(PNG))
    header = png.read_header(stream, Settings().metadata)
    for pixels in (UnusedArray(array, RAW), RawPixels(RAW, no_tiles()), PngPixels(stream, header, unused)):
        assert pixel_plan(pixels, context_for(Settings(format=format, effort=effort))).memory_bytes > 0


@pytest.mark.parametrize("format", [Format.PNG, Format.WEBP, Format.AVIF])
def test_a_plan_of_the_pixels_of_a_jpeg_reads_no_coefficients(format: Format) -> None:
    header = read_header(ByteStream(header_only(JPEG)), Settings().metadata)

    assert pixel_plan(JpegPixels(header, unused, unused), context_for(Settings(format=format))).memory_bytes > 0


@pytest.mark.parametrize("settings", [Settings(), Settings(effort=Effort.FAST), Settings(lossless=True)], ids=str)
def test_a_plan_of_a_jpeg_reads_no_coefficients(settings: Settings) -> None:
    header = read_header(ByteStream(header_only(JPEG)), settings.metadata)

    assert plan_jpeg_to_jpeg(header, unused, context_for(settings)).memory_bytes > 0


@pytest.mark.parametrize("effort", Effort)
def test_a_plan_of_a_png_reads_no_scanlines(effort: Effort) -> None:
    settings = Settings(effort=effort)
    stream = ByteStream(header_only(PNG))
    header = png.read_header(stream, settings.metadata)
    original = Resources().spool()

    assert plan_png_to_png(stream, header, context_for(settings), original).memory_bytes > 0
    assert original.size == 0
    original.close()


def test_the_route_of_raw_samples_is_chosen_before_the_first_tile() -> None:
    context = RouteContext(Settings(format=Format.JPEG), UnusedStages(), spool=unused, charge=lambda count: None)

    routed = route_raw(RAW, no_tiles(), context)

    assert routed.plan is not None
    assert routed.source.reserved_bytes == routed.plan.memory_bytes


def test_what_is_not_supported_is_refused_by_the_plan() -> None:
    """A request that can't be met is refused before memory is reserved for it."""
    array = UnusedArray(np.zeros((1, 65_536, 3), np.uint8), RAW)
    with pytest.raises(LimitError, match="JPEG has at most 65535"):
        plan_pixels_to_jpeg(array, context_for(Settings(format=Format.JPEG)))


# --- starting ---------------------------------------------------------------------------------------------------------


def test_two_plans_of_an_array_can_both_be_started(working: Working) -> None:
    pixels = photograph(SIDE, SIDE)
    array = ArrayPixels(pixels, RAW)
    plans = [pixel_plan(array, working(Settings(format=format))) for format in (Format.PNG, Format.JPEG)]

    as_png, as_jpeg = (run(plan.start()) for plan in plans)

    np.testing.assert_array_equal(decoded(as_png), pixels)
    assert as_jpeg.startswith(b"\xff\xd8\xff") and decoded(as_jpeg).shape == pixels.shape


@pytest.mark.parametrize("format", FORMATS)
def test_routes_of_one_array_can_run_interleaved(format: Format, working: Working) -> None:
    """Neither disturbs the other: both make the bytes that one alone makes."""
    array = ArrayPixels(photograph(SIDE, SIDE), RAW)
    start: Callable[[], Route] = pixel_plan(array, working(Settings(format=format))).start
    alone = run(start())
    one, other = start(), start()
    one.prepare()
    other.prepare()

    bodies: tuple[list[bytes], list[bytes]] = ([], [])
    pending = [(bodies[0], one.body()), (bodies[1], other.body())]
    while pending:
        taken, pieces = pending.pop(0)
        piece = next(pieces, None)
        if piece is not None:
            taken.append(bytes(piece))
            pending.append((taken, pieces))

    assert [route.head() + b"".join(body) for route, body in zip((one, other), bodies, strict=True)] == [alone, alone]


@pytest.mark.parametrize("format", FORMATS)
def test_a_plan_can_be_started_again(format: Format, working: Working) -> None:
    """Metadata is in each result once."""
    raw = dataclasses.replace(RAW, icc_profile=rgb_profile(b"Display P3"))
    array = ArrayPixels(photograph(SIDE, SIDE), raw)
    plan = pixel_plan(array, working(Settings(format=format)))

    first, second = run(plan.start()), run(plan.start())

    assert first == second
    assert Image.open(io.BytesIO(first)).info["icc_profile"] == raw.icc_profile


def test_a_plan_that_is_not_started_leaves_its_source_unread(working: Working) -> None:
    """The first of two plans for a PNG that streams in; the other one finds all of its pixels."""
    stream = ByteStream([PNG])
    settings = Settings(format=Format.JPEG)
    header = png.read_header(stream, settings.metadata)
    pixels = PngPixels(stream, header, unused)
    plan_pixels_to_png(pixels, working(settings), two_passes=True)

    result = run(plan_pixels_to_jpeg(pixels, working(settings)).start())

    assert decoded(result).shape == decoded(PNG).shape
