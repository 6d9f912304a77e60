"""All kinds of JPEG: sampling factors, components, colors, tables that change; and those that are not supported.

Files are compressed losslessly, and source and result are compared as libjpeg decodes them.
"""

import io
import itertools
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from compressor import pipeline
from compressor.errors import UnsupportedError
from tests.jpeg.test_scans import SIMPLE, YCC, scanned
from tests.jpeg_files import assert_same, header_of, jpeg, read
from tests.reference import huffman
from tests.reference import progressive as reference

FACTORS = [(h, v) for h in range(1, 5) for v in range(1, 5)]
PAIRS = [pair for pair in itertools.product(FACTORS, repeat=2) if sum(h * v for h, v in pair) <= 10]


def decoded(data: bytes, mode: str | None = None) -> NDArray[np.uint8]:
    """Return the pixels that libjpeg decodes."""
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode))


def round_trip(data: bytes) -> bytes:
    """Return the file compressed losslessly, or unchanged if it would not become smaller."""
    return pipeline.compress(data, lossless=True).data


def sequential_script(count: int, together: bool) -> list[reference.Scan]:
    """Return one scan of all components, or one for each."""
    return [(range(count), 0, 63, 0, 0)] if together else [((c,), 0, 63, 0, 0) for c in range(count)]


@pytest.mark.parametrize("together", [True, False])
def test_every_pair_of_sampling_factors_decodes_to_what_was_encoded_at_odd_sizes(together: bool) -> None:
    """Including fractional ratios, 3 x 1 with 2 x 1, which libjpeg does not upsample."""
    for number, pair in enumerate(PAIRS):
        width, height = 1 + 7 * number % 45, 1 + 5 * number % 37
        planes = huffman.random_planes(np.random.default_rng(number), width, height, pair, 0.05)
        data = reference.encode(planes, width, height, pair, sequential_script(2, together), sof=0xC1)
        got = (read if together else scanned)(data)[0]
        want = planes if together else reference.clear_dummy_blocks(planes, width, height, pair, dc=True)
        assert_same(got, want)


@pytest.mark.parametrize(
    "sampling", [[(3, 1), (2, 1), (1, 1)], [(1, 3), (1, 2), (1, 1)], [(3, 2), (1, 1), (2, 1)]], ids=str
)
@pytest.mark.parametrize("script, sof", [([(YCC, 0, 63, 0, 0)], 0xC1), (SIMPLE, 0xC2)], ids=["one", "progressive"])
def test_fractional_factors_survive_the_pipeline(
    sampling: list[tuple[int, int]], script: list[reference.Scan], sof: int
) -> None:
    planes = huffman.random_planes(np.random.default_rng(1), 51, 35, sampling, 0.02)
    data = reference.encode(planes, 51, 35, sampling, script, sof=sof)
    want = reference.clear_dummy_blocks(planes, 51, 35, sampling, dc=True)

    made = pipeline.compress(data, lossless=True)

    assert made.report.outcome.value == "compressed"
    got, header, _ = scanned(made.data)
    assert [(c.h, c.v) for c in header.frame.components] == sampling
    assert_same(reference.clear_dummy_blocks(got, 51, 35, sampling, dc=True), want)


def test_factors_that_only_scans_of_one_component_can_have_are_read_but_not_written() -> None:
    sampling = [(4, 4), (1, 1), (2, 1)]
    planes = huffman.random_planes(np.random.default_rng(1), 70, 40, sampling, 0.02)
    data = reference.encode(planes, 70, 40, sampling, [((c,), 0, 63, 0, 0) for c in YCC], sof=0xC1)

    assert_same(scanned(data)[0], reference.clear_dummy_blocks(planes, 70, 40, sampling, dc=True))
    with pytest.raises(UnsupportedError, match="4x4,1x1,2x1: 19 blocks in an MCU"):
        pipeline.compress(data)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("settings", [{"lossless": True}, {"quality": 30}], ids=str)
def test_one_to_four_components_are_compressed(count: int, settings: dict[str, Any]) -> None:
    sampling = [(2, 2), (1, 1), (1, 1), (2, 2)][:count]
    planes = huffman.random_planes(np.random.default_rng(count), 60, 40, sampling if count > 1 else [(1, 1)], 0.02)
    data = huffman.encode(planes, 60, 40, sampling)

    got, header, _ = scanned(pipeline.compress(data, **settings).data)

    assert len(header.frame.components) == count
    if "lossless" in settings:
        visible = [reference.clear_dummy_blocks(file, 60, 40, sampling, dc=True) for file in (got, planes)]
        assert_same(visible[0], visible[1])


def adobe(data: bytes, transform: int) -> bytes:
    """Replace the Adobe segment, or JFIF by one."""
    segment = huffman.segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    if b"Adobe" in data:
        at = data.index(b"Adobe") - 4
        return data[:at] + segment + data[at + len(segment) :]
    return data[:2] + segment + data[20:]


YCC_FILE, CMYK_FILE = jpeg(80, 60, quality=90), jpeg(80, 60, "CMYK", quality=90)
COLORS = {
    "rgb by Adobe": (jpeg(80, 60, keep_rgb=True), "rgb"),
    "rgb by identifiers": (jpeg(80, 60, keep_rgb=True).replace(b"Adobe", b"Nobody"[:5]), "rgb"),
    "ycbcr by Adobe": (adobe(YCC_FILE, 1), "ycbcr"),
    "rgb by Adobe, though": (adobe(YCC_FILE, 0), "rgb"),
    "ycbcr by an unknown transform": (adobe(YCC_FILE, 7), "ycbcr"),
    "ycbcr by JFIF against Adobe": (YCC_FILE[:20] + adobe(YCC_FILE, 0)[2:18] + YCC_FILE[20:], "ycbcr"),
    "cmyk": (CMYK_FILE, "cmyk"),
    "ycck": (adobe(CMYK_FILE, 2), "ycck"),
    "ycck by an unknown transform": (adobe(CMYK_FILE, 1), "ycck"),
    "cmyk without Adobe": (CMYK_FILE.replace(b"Adobe", b"Nobod"), "cmyk"),
    "grey": (jpeg(80, 60, "L"), "grey"),
}


@pytest.mark.parametrize("name", COLORS)
def test_color_spaces_are_interpreted_as_by_libjpeg_before_and_after(name: str) -> None:
    data, color = COLORS[name]
    if name == "rgb by identifiers":
        assert [c.id for c in header_of(data).frame.components] == list(b"RGB")
    made = round_trip(data)

    assert header_of(data).color == header_of(made).color == color
    np.testing.assert_array_equal(decoded(made), decoded(data))
    lossy = pipeline.compress(data, quality=30).data
    error = np.abs(decoded(lossy).astype(int) - decoded(data)).mean()
    assert header_of(lossy).color == color and error < 20


def cmyk_profile() -> bytes:
    """Return a minimal ICC profile of a CMYK device (ICC.1:2022, 7 and 10.10): a table of two points an ink to Lab."""

    def text(signature: bytes, data: bytes) -> bytes:
        return signature + bytes(4) + data

    inks = itertools.product((0, 1), repeat=4)
    clut = b"".join(
        bytes([(1 - k) * (255 - 80 * (c + m + y)), 128 + 40 * m - 40 * c, 128 + 40 * y]) for c, m, y, k in inks
    )
    identity = b"".join(struct.pack(">i", 65536 * (n % 4 == 0)) for n in range(9))
    ramp = bytes(range(256))
    tags = {
        b"desc": text(b"desc", struct.pack(">I", 5) + b"cmyk\0" + bytes(78)),
        b"cprt": text(b"text", b"none\0"),
        b"wtpt": text(b"XYZ ", struct.pack(">3i", 63190, 65536, 54061)),
        b"A2B0": text(b"mft1", bytes([4, 3, 2, 0]) + identity + ramp * 4 + clut + ramp * 3),
    }
    table, body = struct.pack(">I", len(tags)), b""
    for signature, data in tags.items():
        data += bytes(-len(data) % 4)
        table += signature + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12s4s", 132 + 12 * len(tags) + len(body), b"none", 0x02400000, b"prtr", b"CMYK",
                       b"Lab ", bytes(12), b"acsp")  # fmt: skip
    return head + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48) + table + body


@pytest.mark.parametrize(
    "settings", [{"lossless": True}, {"quality": 60}, {"quality": 60, "metadata": "color"}], ids=str
)
def test_cmyk_keeps_its_profile(settings: dict[str, Any]) -> None:
    profile = cmyk_profile()
    srgb = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb, "CMYK", "RGB")
    data = jpeg(120, 90, "CMYK", quality=95, icc_profile=profile)

    made = pipeline.compress(data, **settings)

    opened = Image.open(io.BytesIO(made.data))
    assert (opened.mode, opened.info["icc_profile"], made.report.notices) == ("CMYK", profile, ())
    converted = ImageCms.applyTransform(opened, transform)
    assert converted is not None and converted.mode == "RGB"


def test_the_table_at_the_first_scan_of_a_component_is_that_of_all_its_scans() -> None:
    """T.81 forbids changes before the frame ends; libjpeg keeps the first (latch_quant_tables in jdinput.c)."""
    planes = huffman.random_planes(np.random.default_rng(3), 40, 30, [(1, 1)] * 3, 0.02)
    plain = [bytes([0]) + bytes([q] * 64) for q in (3, 9)]
    changed = reference.encode(planes, 40, 30, [(1, 1)] * 3, SIMPLE, dqts=plain)
    constant = reference.encode(planes, 40, 30, [(1, 1)] * 3, SIMPLE, dqts=plain[:1])

    made = round_trip(changed)

    assert {int(table[0]) for table in read(made)[1].quantization.values()} == {3}
    np.testing.assert_array_equal(decoded(made), decoded(constant))
    np.testing.assert_array_equal(decoded(changed), decoded(constant))


@pytest.mark.parametrize("intervals", [(0, 1, 5), (7, 0), (1,)], ids=str)
@pytest.mark.parametrize("script, sof", [(SIMPLE, 0xC2), ([((0,), 0, 63, 0, 0), ((1, 2), 0, 63, 0, 0)], 0xC1)])
def test_tables_and_restart_intervals_that_change_between_scans(
    intervals: tuple[int, ...], script: list[reference.Scan], sof: int
) -> None:
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = huffman.random_planes(np.random.default_rng(4), 50, 41, sampling, 0.02)
    tables = (reference.LONG, reference.FLAT) if sof == 0xC2 else (reference.FLAT,)
    data = reference.encode(planes, 50, 41, sampling, script, sof=sof, intervals=intervals, tables=tables)

    made = round_trip(data)

    found = [reference.clear_dummy_blocks(got, 50, 41, sampling, dc=True) for got in (read(made)[0], scanned(data)[0])]
    assert_same(found[0], found[1])
    np.testing.assert_array_equal(decoded(made), decoded(data))


PLAIN = huffman.encode([np.zeros((1, 1, 64), np.int64)], 8, 8, [(1, 1)])


@pytest.mark.parametrize(
    "sof, precision, word",
    [
        (0xC1, 12, "12-bit samples"), (0xC2, 12, "12-bit samples"), (0xC3, 8, "lossless coding process"),
        (0xC5, 8, "hierarchical coding process"), (0xC6, 8, "hierarchical"), (0xC7, 8, "hierarchical"),
        (0xC9, 8, "arithmetic coding process"), (0xCA, 8, "arithmetic progressive"), (0xCB, 16, "arithmetic lossless"),
        (0xCD, 8, "hierarchical"), (0xCE, 8, "hierarchical"), (0xCF, 8, "hierarchical"), (0xF7, 8, "JPEG-LS"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("format", ["keep", "png"])
def test_unsupported_processes_are_named(sof: int, precision: int, word: str, format: Any) -> None:
    data = PLAIN.replace(b"\xff\xc0\0\x0b\x08", bytes([0xFF, sof, 0, 0x0B, precision]))

    with pytest.raises(UnsupportedError, match=word):
        pipeline.compress(data, format=format)
