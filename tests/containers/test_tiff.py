"""Removal of metadata from TIFF and BigTIFF: no mark is left, no sample changes, and unusual files are handled."""

import io
import struct
import time
import warnings
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from compressor import containers, pipeline
from compressor.containers.tiff_streams import REVERSED, stream_end
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.metadata import ADOBE_RGB_REMOVED
from compressor.parsers.tiff import TiffFile
from compressor.settings import Metadata
from compressor.spool import CHUNK_BYTES
from tests.planted import Planted, mark, marks_in
from tests.planted.tiff import SAMPLES, files, jpeg_page, profile
from tests.tiff_files import (
    ASCII,
    BYTE,
    DEFLATE,
    LONG,
    LZW,
    NONE,
    SHORT,
    UNDEFINED,
    Page,
    Tags,
    build,
    compressed,
    picture,
)

PLANTED = files()
POLICIES = (Metadata.COLOR, Metadata.STRIP)


# What notices call a place, where not by its own name.
NAMED = {
    "SubIFD samples": "SubIFDs",
    "SubIFD text": "SubIFDs",
    "GeoAsciiParams": "GeoTIFF",
    "private tag": "tag 65000",
    "spare values of a tag": "tag 280",
    "TargetPrinter": "tag 337",
    "after the end": "bytes after the image",
    "between header and strips": "bytes that no tag refers to",
    "after the samples of a strip": "bytes that no tag refers to",
    "after the data of a strip": "bytes that no tag refers to",
    "after EOI": "bytes that no tag refers to",
    "COM in a strip": "COM segments in JPEG strips",
    "APP1 in a strip": "APPn and COM segments in JPEG strips",
    "COM in the tables": "COM segments in JPEG strips",
    "thumbnail samples": "thumbnails",
    "thumbnail text": "thumbnails",
}


class MeteredSource:
    """Bytes as a `Readable` that records the largest read."""

    def __init__(self, data: bytes) -> None:
        self._data, self.size, self.most = data, len(data), 0

    def read(self, start: int, count: int) -> bytes:
        self.most = max(self.most, count)
        return self._data[start : start + count]

    def chunks(self) -> Iterator[bytes]:
        yield self._data


def reduced(data: bytes, policy: Metadata = Metadata.STRIP) -> tuple[bytes, list[str]]:
    notices: list[str] = []
    return b"".join(containers.without_metadata("tiff", MeteredSource(data), policy, notices)), notices


def tags_of(image: Image.Image) -> Mapping[int, Any]:
    """Return the tags of the current page."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2")  # noqa: B009
    return tags


def pillow_pages(data: bytes) -> list[bytes]:
    pages = []
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            if not tags_of(image).get(254, 0) & 1:
                pages.append(image.mode.encode() + np.asarray(image).tobytes())
    return pages


def vips_pixels(data: bytes) -> bytes:
    found: bytes = pyvips.Image.new_from_buffer(data, "").autorot().write_to_memory()
    return found


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_only_marks_that_the_policy_keeps_are_left(planted: Planted, policy: Metadata) -> None:
    assert marks_in(planted, planted.data) == set(planted.marks)
    made, _ = reduced(planted.data, policy)

    assert marks_in(planted, made) == (set(planted.color) if policy is Metadata.COLOR else set())
    assert len(made) <= len(planted.data)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_pixels_pages_and_orientation_are_kept_and_a_second_run_changes_nothing(
    planted: Planted, policy: Metadata
) -> None:
    made, _ = reduced(planted.data, policy)

    assert pillow_pages(made) == pillow_pages(planted.data)
    assert vips_pixels(made) == vips_pixels(planted.data)
    with Image.open(io.BytesIO(made)) as image:
        assert image.getexif().get(274, 1) == planted.orientation
    assert reduced(made, policy)[0] == made


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_both_byte_orders_and_offset_sizes_are_rewritten(order: Literal["<", ">"], big: bool) -> None:
    page = picture(SAMPLES, 8, photometric=2, compression=LZW, rows_per_strip=7, order=order)
    page.tags[270] = (ASCII, mark("text") + b"\0")
    data = build([page, page], order, big, mark("gap"), mark("tail"))
    made, notices = reduced(data)

    assert b"MARK" in data and b"MARK" not in made
    assert notices == ["16 bytes after the image were removed"]
    with warnings.catch_warnings():
        image = pyvips.Image.new_from_buffer(made, "", n=-1)
    assert image.write_to_memory() == SAMPLES.tobytes() * 2


def test_color_keeps_color_tags_and_strip_reports_their_removal() -> None:
    displayed = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    page = picture(SAMPLES, 8, photometric=2)
    page.tags |= {34675: (UNDEFINED, displayed), 318: (5, [3127, 10000, 3290, 10000])}
    data = build([page])
    colored, notices = reduced(data, Metadata.COLOR)

    assert notices == []
    with Image.open(io.BytesIO(colored)) as image:
        assert image.info["icc_profile"] == displayed
        assert 318 in tags_of(image)
    stripped, notices = reduced(data)
    with Image.open(io.BytesIO(stripped)) as image:
        assert "icc_profile" not in image.info and 318 not in tags_of(image)
    assert notices[0].startswith("the ICC profile (") and notices[0].endswith(") was removed: colors will differ")
    assert notices[1:] == ["WhitePoint removed: colors may differ"]


def test_an_srgb_profile_and_bytes_after_a_profile_are_removed_without_a_notice() -> None:
    page = picture(SAMPLES, 8, photometric=2)
    page.tags[34675] = (UNDEFINED, profile() + mark("after the profile"))

    assert reduced(build([page]))[1] == []
    colored, _ = reduced(build([page]), Metadata.COLOR)
    assert mark("ICC profile") in colored and mark("after the profile") not in colored
    page.tags[34675] = (UNDEFINED, b"no profile " + mark("not a profile"))
    colored, notices = reduced(build([page]), Metadata.COLOR)
    assert mark("not a profile") not in colored
    assert notices == ["a damaged ICC profile was removed"]


def test_a_removed_color_space_in_exif_is_reported() -> None:
    page = picture(SAMPLES, 8, photometric=2)
    for index, said in ((b"R03\0", [ADOBE_RGB_REMOVED]), (b"R98\0", [])):
        page.nested[34665] = [Page({}, nested={40965: [Page({1: (ASCII, index)})]})]
        for policy in POLICIES:
            assert reduced(build([page]), policy)[1] == said


def test_the_resolution_is_kept_only_where_pixels_are_not_square() -> None:
    for vertical, stays in ((72, False), (98, True)):
        page = picture(SAMPLES, 8, photometric=2, tags={282: (5, [72, 1]), 283: (5, [vertical, 1]), 296: (SHORT, [2])})
        made, _ = reduced(build([page]), Metadata.STRIP)
        with Image.open(io.BytesIO(made)) as image:
            assert (283 in tags_of(image)) is stays


def test_thumbnails_of_every_kind_are_removed_and_masks_kept() -> None:
    first = picture(SAMPLES, 8, photometric=2)
    small = picture(SAMPLES[:4, :4], 8, photometric=2, tags={254: (LONG, [1])})
    old = picture(SAMPLES[:4, :4], 8, photometric=2, tags={255: (SHORT, [2])})
    exif = Page({256: (LONG, [4]), 257: (LONG, [4]), 259: (SHORT, [6]), 513: (LONG, [8]), 514: (LONG, [40])})
    mask = picture(SAMPLES[..., :1] // 255, 1, photometric=4, tags={254: (LONG, [4])})
    made, notices = reduced(build([first, small, old, mask, exif]))

    file = TiffFile(MeteredSource(made).read, len(made))
    assert [file.number(page, 262, 0) for page in file.pages()] == [2, 4]
    assert notices == ["thumbnails in the file were removed: 3"]


def test_segments_in_jpeg_strips_become_fill_bytes_that_decoders_skip() -> None:
    data = build([jpeg_page()])
    made, _ = reduced(data)

    assert len(made) == len(data)
    assert made.count(b"\xff" * 22) >= 3
    assert pillow_pages(made) == pillow_pages(data)


def test_webp_strips_of_one_chunk_are_kept_and_others_rejected() -> None:
    out = io.BytesIO()
    Image.fromarray(SAMPLES).save(out, "WEBP", lossless=True)
    page = picture(SAMPLES, 8, photometric=2)
    page.tags[259], page.strips = (SHORT, [50001]), [out.getvalue() + mark("after")]
    made, _ = reduced(build([page]))
    assert out.getvalue() in made and mark("after") not in made

    Image.fromarray(SAMPLES).save(out := io.BytesIO(), "WEBP", lossless=True, exif=b"Exif\0\0" + mark("exif"))
    page.strips = [out.getvalue()]
    with pytest.raises(UnsupportedError, match="WebP strips"):
        reduced(build([page]))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("noise", [1, 8, 255])
def test_stream_end_finds_the_end_of_real_streams(compression: str, noise: int) -> None:
    samples = np.random.default_rng(2).integers(0, noise + 1, (300, 400, 3)).astype(np.uint8)
    Image.fromarray(samples).save(out := io.BytesIO(), "TIFF", compression=compression)
    file = TiffFile(MeteredSource(out.getvalue()).read, len(out.getvalue()))
    page = next(file.pages())
    starts, counts = file.integers(page, 273).tolist(), file.integers(page, 279).tolist()
    for start, count in zip(starts, counts, strict=True):
        strip = out.getvalue()[start : start + count]
        source = MeteredSource(strip + b"more")
        assert stream_end(file.number(page, 259, 1), source.read, 0, source.size, 1 << 20) == count


def test_data_after_reversed_bits_is_removed() -> None:
    page = picture(SAMPLES, 8, photometric=2, compression=LZW, tags={266: (SHORT, [2])})
    page.strips = [strip.translate(REVERSED) for strip in page.strips]
    page.spare = mark("after")
    made, _ = reduced(build([page]))

    assert mark("after") not in made
    assert pillow_pages(made) == pillow_pages(build([page]))


def test_more_samples_than_the_strip_can_hold_are_an_error() -> None:
    page = picture(SAMPLES, 8, photometric=2, compression=DEFLATE)
    page.strips = [zlib.compress(SAMPLES.tobytes() + mark("in the stream"))]
    with pytest.raises(FormatError, match="more than 2304 bytes of samples"):
        reduced(build([page]))


RAW: dict[str, Tags] = {
    "DNG": {50706: (BYTE, b"\1\4\0\0")},
    "a color filter array": {262: (SHORT, [32803])},
    "linear raw": {262: (SHORT, [34892])},
    "TIFF/EP": {37398: (BYTE, b"\1\0\0\0")},
    "compression 6:": {259: (SHORT, [6])},
    "compression 34712:": {259: (SHORT, [34712])},
    "photometric interpretation 51177": {262: (SHORT, [51177])},
}


@pytest.mark.parametrize("what", RAW)
def test_unsupported_tiffs_are_rejected_by_name(what: str) -> None:
    page = picture(SAMPLES, 8, photometric=2)
    page.tags |= RAW[what]
    with pytest.raises(UnsupportedError, match=f"^TIFF: can't remove metadata from .*{what}"):
        reduced(build([page]))


def test_camera_raw_is_detected_by_its_structure() -> None:
    small = picture(SAMPLES[:4, :4], 8, photometric=2, tags={254: (LONG, [1])})
    small.nested[330] = [picture(SAMPLES, 8, photometric=2)]
    filtered = picture(SAMPLES, 8, photometric=2)
    filtered.nested[330] = [picture(SAMPLES[..., :1], 8, photometric=32803)]
    for data in (build([small]), build([filtered]), build([picture(SAMPLES, 8, photometric=2)], gap=b"CR\2\0")):
        with pytest.raises(UnsupportedError, match="camera raw"):
            reduced(data)


def test_samples_that_look_like_a_makers_signature_are_kept() -> None:
    page = picture(np.full((4, 4, 1), ord("I"), np.uint8), 8, photometric=1)

    assert b"IIII" in reduced(build([page]))[0]


def test_a_loop_of_directories_is_an_error() -> None:
    data = bytearray(build([picture(SAMPLES, 8, photometric=2)]))
    data[-4:] = data[4:8]
    with pytest.raises(FormatError, match="a loop"):
        reduced(bytes(data))


def test_a_directory_that_refers_to_itself_terminates() -> None:
    page = picture(SAMPLES, 8, photometric=2, tags={330: (LONG, [0]), 34665: (LONG, [0])})
    data = bytearray(build([page]))
    (first,) = struct.unpack_from("<I", data, 4)
    for at in range(first + 2, len(data) - 4, 12):
        if struct.unpack_from("<H", data, at)[0] in (330, 34665):
            struct.pack_into("<I", data, at + 8, first)
    made, _ = reduced(bytes(data))

    assert pillow_pages(made) == pillow_pages(bytes(data))


@pytest.mark.parametrize(
    "tags, problem",
    [
        ({273: (LONG, [1 << 20])}, "beyond the end of the file"),
        ({273: (LONG, [4])}, "overlaps"),
        ({273: (LONG, [8] * 9), 279: (LONG, [9] * 9)}, "9 offsets for 1 strips"),
        ({256: (LONG, [0])}, "a width or length of 0"),
        ({256: (ASCII, b"\1\0\0\0")}, "expected integers"),
        ({277: (LONG, [1 << 20])}, "SamplesPerPixel"),
    ],
)
def test_impossible_values_are_errors(tags: Tags, problem: str) -> None:
    page = picture(SAMPLES, 8, photometric=2)
    page.tags |= {273: (LONG, [8]), 279: (LONG, [len(page.strips[0])])} | tags
    strips, page.strips = page.strips, ()
    with pytest.raises(FormatError, match=problem):
        reduced(build([page], gap=strips[0]))


@pytest.mark.serial
def test_counts_above_the_limits_are_rejected_at_once() -> None:
    begin = time.monotonic()
    for big, count in ((False, 0xFFFF), (True, 1 << 60)):
        data = build([picture(SAMPLES, 8, photometric=2)], big=big)
        at = len(data) - (8 + 20 * 10 + 8 if big else 2 + 12 * 10 + 4)
        broken = bytearray(data)
        struct.pack_into("<Q" if big else "<H", broken, at, count)
        with pytest.raises((FormatError, LimitError)):
            reduced(bytes(broken))
    rows = picture(SAMPLES[:1, :1], 8, photometric=2, compression=LZW, tags={257: (LONG, [1 << 30]), 278: (LONG, [1])})
    with pytest.raises(LimitError, match="strips or tiles"):
        reduced(build([rows]))
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_damage_ends_in_a_clear_error_or_a_file_without_metadata(planted: Planted) -> None:
    data = planted.data
    rng = np.random.default_rng(5)
    versions = [data[:end] for end in range(0, len(data), max(1, len(data) // 80))]
    for _ in range(120):
        damaged = bytearray(data)
        for _ in range(int(rng.integers(1, 4))):
            damaged[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        versions.append(bytes(damaged))
    for version in versions:
        try:
            made, _ = reduced(version, Metadata.COLOR)
        except CompressorError as error:
            assert "\n" not in str(error)
            continue
        assert len(made) <= len(version)
        assert reduced(made, Metadata.COLOR)[0] == made
        assert containers.unmapped_metadata("tiff", MeteredSource(version)) is not None


def test_a_large_file_is_read_and_written_in_small_chunks() -> None:
    samples = np.arange(3 << 20, dtype=np.uint32).astype(np.uint8).reshape(1024, 1024, 3)
    source = MeteredSource(build([picture(samples, 8, photometric=2, tags={65000: (ASCII, mark("text") * 100_000)})]))
    pieces = list(containers.without_metadata("tiff", source, Metadata.STRIP, []))

    assert max(map(len, pieces)) <= CHUNK_BYTES
    assert source.most <= CHUNK_BYTES
    assert samples.tobytes() in b"".join(pieces)


def test_metadata_that_a_conversion_loses_is_listed_once() -> None:
    named = containers.unmapped_metadata("tiff", MeteredSource(PLANTED[0].data))

    assert "IPTC" in named and "Photoshop resources" in named and "tag 65000" in named and "DocumentName" in named
    assert not {"tag 270", "tag 700", "tag 34665"} & set(named)
    assert len(named) == len(set(named)) <= 20
    assert containers.unmapped_metadata("tiff", MeteredSource(build([picture(SAMPLES, 8, photometric=2)]))) == []
    for compression in (NONE, LZW, DEFLATE):
        page = picture(SAMPLES, 8, photometric=2, compression=compression)
        page.spare = mark("spare")
        assert containers.unmapped_metadata("tiff", MeteredSource(build([page]))) == ["bytes that no tag refers to"]
    assert containers.unmapped_metadata("tiff", MeteredSource(b"II*\0")) == []


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_tags_without_a_place_in_another_format_are_listed(planted: Planted) -> None:
    try:
        result = pipeline.compress(planted.data, format="webp")
    except UnsupportedError as error:
        assert "several pages" in str(error)
        return
    said = " ".join(result.report.notices)
    for place in set(planted.marks) - marks_in(planted, result.data):
        assert NAMED.get(place, place) in said, place


@pytest.mark.parametrize("compression", [NONE, LZW, DEFLATE])
def test_a_strip_at_the_end_of_the_file_keeps_its_declared_byte_count(compression: int) -> None:
    grey = SAMPLES[..., :1]
    data = compressed(grey, compression) + mark("after the data of a strip")
    tags = {
        256: grey.shape[1], 257: grey.shape[0], 258: 8, 259: compression, 262: 1, 273: 8 + 2 + 12 * 9 + 4,
        277: 1, 278: grey.shape[0], 279: len(data),
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, LONG, 1, value) for tag, value in sorted(tags.items()))
    source = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + data

    made, _ = reduced(source)

    assert len(made) == len(source) and mark("after the data of a strip") not in made
    assert vips_pixels(made) == vips_pixels(source) == grey.tobytes()
    assert reduced(made)[0] == made
