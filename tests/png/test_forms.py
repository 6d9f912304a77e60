"""Lossless reduction of PNG to a smaller form: neither pixels nor chunks that describe them are lost."""

import io
import itertools
import struct
import subprocess
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import pipeline
from compressor.bytestream import ByteStream
from compressor.png.header import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, PngHeader, read_header
from compressor.png.reduction import Survey
from compressor.results import Result
from compressor.settings import Effort, Outcome
from tests.corpus import CORPUS
from tests.png.test_interlace import FORMATS, made
from tests.png.test_interlace import decode as decode_interlaced
from tests.png.test_reader import Chunks, decode
from tests.reference import pngfilter as reference
from tests.reference import rgba16

RNG = np.random.default_rng(2)
DIGITS = RNG.integers(0, 16, (64, 80))  # noise: no filter and no form makes up for a larger one


def png(samples: np.ndarray, color: int, depth: int, before: Chunks = (), after: Chunks = ()) -> bytes:
    """Return a PNG of (height, width, channels) samples, unfiltered and uncompressed."""
    height, width = samples.shape[:2]
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    else:
        bits = (samples.reshape(height, -1, 1) >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows), 0)
    file: bytes = reference.png(width, height, depth, color, data, before=before, after=after)
    return file


def reduced(data: bytes, **settings: Any) -> tuple[PngHeader, Result]:
    """Compress a PNG; return header and result after a comparison of all pixels."""
    result = pipeline.compress(data, **settings)
    assert shown(result.data) == shown(data)
    return read_header(ByteStream([result.data])), result


def shown(data: bytes) -> Any:
    """Return all pixels, by the reference implementation and not by the encoder's own code."""
    header, rows, _ = decode(data)
    return pixels_of(header, rows)


def pixels_of(header: PngHeader, rows: np.ndarray) -> Any:
    return rgba16.pixels(rows, header.width, header.bit_depth, header.color_type, header.palette, header.transparency)


def form(header: PngHeader) -> tuple[int, int]:
    return header.color_type, header.bit_depth


GREYS = np.repeat(DIGITS[:, :, None], 3, 2)
COLORS = RNG.integers(0, 256, (16, 3))
OPAQUE = np.full((64, 80, 1), 255)
RANDOM = RNG.integers(0, 256, (64, 80, 4))
CASES = {
    "16 bits that 8 can say": (RANDOM[:, :, :3] * 257, RGB, 16, (RGB, 8)),
    "16 bits that are needed": (RANDOM[:, :, :3] * 255, RGB, 16, (RGB, 16)),
    "16-bit grey of two values": (DIGITS[:, :, None] // 8 * 65535, GREY, 16, (GREY, 1)),
    "RGB that is grey": (np.repeat(RANDOM[:, :, :1], 3, 2), RGB, 8, (GREY, 8)),
    "RGB that is 4-bit grey": (GREYS * 17, RGB, 8, (GREY, 4)),
    "RGB that is 2-bit grey": (GREYS // 4 * 85, RGB, 8, (GREY, 2)),
    "RGB that is black and white": (GREYS // 8 * 255, RGB, 8, (GREY, 1)),
    "alpha that is full": (np.dstack([RANDOM[:, :, :3], OPAQUE]), RGBA, 8, (RGB, 8)),
    "grey with alpha that is full": (np.dstack([RANDOM[:, :, :1], OPAQUE]), GREY_ALPHA, 8, (GREY, 8)),
    "RGBA that is grey with alpha": (np.dstack([GREYS * 16, RANDOM[:, :, 3:]]), RGBA, 8, (GREY_ALPHA, 8)),
    "deep RGBA of grey": (np.dstack([GREYS * 257, RANDOM[:, :, 3:] * 257]), RGBA, 16, (GREY_ALPHA, 8)),
    "16 colors": (COLORS[DIGITS], RGB, 8, (PALETTE, 4)),
    "2 colors": (COLORS[DIGITS // 8], RGB, 8, (PALETTE, 1)),
    "3 colors with alpha": (np.dstack([COLORS[DIGITS // 6], DIGITS // 6 * 100]), RGBA, 8, (PALETTE, 2)),
    "4-bit grey of few values": (DIGITS[:, :, None] // 8 * 15, GREY, 4, (GREY, 1)),
    "4 uneven greys": (np.array([3, 77, 200, 201])[DIGITS // 4][:, :, None], GREY, 8, (PALETTE, 2)),
    }  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("effort", ["balanced", "best"])
def test_an_image_is_stored_in_its_smallest_lossless_form(name: Any, effort: str) -> None:
    samples, color, depth, expected = CASES[name]
    data = png(samples, color, depth)

    header, result = reduced(data, effort=effort)

    assert form(header) == expected
    assert len(result.report.notices) == ((color, depth) != expected)
    assert result.report.outcome is Outcome.COMPRESSED
    theirs, ours = (np.asarray(Image.open(io.BytesIO(d)).convert("RGBA")) for d in (data, result.data))
    if depth < 16:  # Pillow cuts these
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("settings", [{"effort": "fast"}, {"delivery": "immediate"}], ids=str)
def test_one_pass_does_not_change_the_form(settings: Any) -> None:
    header, result = reduced(png(COLORS[DIGITS], RGB, 8), **settings)

    assert form(header) == (RGB, 8)
    assert result.report.notices == ()


@pytest.mark.parametrize("depth, color", [(16, RGB), (8, RGB), (8, GREY), (16, GREY), (4, GREY)])
def test_a_transparent_color_is_kept(depth: int, color: Any) -> None:
    most = (1 << depth) - 1
    values = DIGITS[:, :, None] * (most // 15)
    samples = np.repeat(values, 3, 2) if color == RGB else values
    for value in (most // 15 * 4, most // 15 * 4 + 1):
        key = struct.pack(">H", value) * (3 if color == RGB else 1)

        header, _ = reduced(png(samples, color, depth, [(b"tRNS", key)]))

        assert form(header) == (GREY, 4)
        used = value % (most // 15) == 0 if depth > 4 else value == 4
        assert header.transparency == (b"\0\4" if used else b"\0\5" if depth == 4 else None)


def test_unused_and_duplicate_palette_entries_are_removed() -> None:
    palette = [*COLORS[:12].tolist(), *COLORS[:2].tolist(), [1, 2, 3]]
    indices = np.array([0, 12, 5, 13, 1, 7])[DIGITS % 6][:, :, None]
    alpha = bytes([255, 255, 255, 255, 255, 128, 9])

    header, _ = reduced(png(indices, PALETTE, 8, [(b"PLTE", np.array(palette, np.uint8).tobytes()), (b"tRNS", alpha)]))

    assert form(header) == (PALETTE, 2)
    assert len(header.palette) == 3 * 4
    assert header.transparency == b"\x80"  # the one that is not opaque comes first


def test_a_palette_index_without_an_entry_remains_black() -> None:
    indices = (DIGITS % 4)[:, :, None]

    header, _ = reduced(png(indices, PALETTE, 8, [(b"PLTE", bytes([9, 9, 200, 7, 80, 9]))]))

    assert form(header) == (PALETTE, 2)


PROFILES = {space: b"p\0\0" + zlib.compress(bytes(16) + space + bytes(108)) for space in (b"RGB ", b"GRAY")}
RULES = [
    # The chunk, the image, the form, and what is left of the chunk.
    (b"bKGD", b"\0\x11\0\x11\0\x11", "RGB that is 4-bit grey", (GREY, 4), b"\0\1"),
    (b"bKGD", b"\0\x12\0\x12\0\x12", "RGB that is 4-bit grey", (GREY, 8), b"\0\x12"),
    (b"bKGD", b"\0\1\0\2\0\3", "RGB that is 4-bit grey", (PALETTE, 8), b"\x00"),
    (b"bKGD", b"\0\1\0\2\0\3", "16 colors", (PALETTE, 8), b"\x10"),
    (b"bKGD", struct.pack(">3H", *COLORS[DIGITS[0, 1]]), "16 colors", (PALETTE, 4), b"\1"),
    (b"bKGD", b"\1\1\2\2\3\3", "16 bits that 8 can say", (RGB, 8), b"\0\1\0\2\0\3"),
    (b"bKGD", b"\1\2\1\2\1\2", "16 bits that 8 can say", (RGB, 16), b"\1\2\1\2\1\2"),
    (b"bKGD", b"what", "16 colors", (RGB, 8), b"what"),
    (b"sBIT", b"\4\4\4", "RGB that is 4-bit grey", (GREY, 4), b"\4"),
    (b"sBIT", b"\5\5\5", "RGB that is 4-bit grey", (GREY, 8), b"\5"),
    (b"sBIT", b"\5\6\5", "RGB that is grey", (PALETTE, 8), b"\5\6\5"),
    (b"sBIT", b"\5\6\5", "16 colors", (PALETTE, 4), b"\5\6\5"),
    (b"sBIT", b"\x10\x10\x10", "16 bits that 8 can say", (RGB, 16), b"\x10\x10\x10"),
    (b"sBIT", b"\5\6\5\3", "alpha that is full", (RGB, 8), b"\5\6\5"),
    (b"sBIT", b"\5", "4 uneven greys", (PALETTE, 2), b"\5\5\5"),
    (b"iCCP", PROFILES[b"RGB "], "16 colors", (PALETTE, 4), PROFILES[b"RGB "]),
    (b"iCCP", PROFILES[b"RGB "], "RGB that is grey", (PALETTE, 8), PROFILES[b"RGB "]),
    (b"iCCP", PROFILES[b"RGB "], "RGB that is black and white", (PALETTE, 1), PROFILES[b"RGB "]),
    (b"iCCP", PROFILES[b"GRAY"], "4 uneven greys", (GREY, 8), PROFILES[b"GRAY"]),
    (b"iCCP", PROFILES[b"GRAY"], "16-bit grey of two values", (GREY, 1), PROFILES[b"GRAY"]),
    (b"cICP", b"\x09\x10\0\1", "RGB that is grey", (PALETTE, 8), b"\x09\x10\0\1"),
    (b"gAMA", b"\0\1\x86\xa0", "RGB that is grey", (GREY, 8), b"\0\1\x86\xa0"),
    (b"sRGB", b"\1", "RGB that is grey", (GREY, 8), b"\1"),
    (b"PLTE", bytes(6), "16 colors", (RGB, 8), bytes(6)),
    (b"PLTE", bytes(6), "alpha that is full", (RGB, 8), bytes(6)),
    (b"tEXt", b"a\0b", "16 colors", (PALETTE, 4), b"a\0b"),
    (b"saFe", b"?", "16 colors", (PALETTE, 4), b"?"),
    (b"unSF", b"?", "16 colors", (RGB, 8), b"?"),
]


@pytest.mark.parametrize("kind, content, name, expected, left", RULES)
def test_a_chunk_is_converted_exactly_or_rules_out_the_form(
    kind: Any, content: Any, name: Any, expected: Any, left: Any
) -> None:
    samples, color, depth, _ = CASES[name]

    header, _ = reduced(png(samples, color, depth, [(kind, content)]))

    if expected[1] == 8 and expected[0] == PALETTE:
        assert header.color_type == PALETTE and header.bit_depth >= 4
    else:
        assert form(header) == expected
    chunk = next(chunk for chunk in header.chunks if chunk.type == kind)
    if kind == b"bKGD" and header.color_type == PALETTE:
        after = struct.unpack(">3H", content)
        index = chunk.data[0]
        assert tuple(header.palette[3 * index : 3 * index + 3]) == after
    else:
        assert chunk.data == left


def test_a_palette_with_a_histogram_is_not_changed() -> None:
    chunks = [(b"PLTE", bytes(COLORS.astype(np.uint8).tobytes())), (b"hIST", bytes(32))]

    header, _ = reduced(png(DIGITS[:, :, None] // 8, PALETTE, 8, chunks))

    assert form(header) == (PALETTE, 8)
    assert [(chunk.type, chunk.data) for chunk in header.chunks] == chunks


def test_an_unsafe_to_copy_chunk_after_the_image_rules_out_other_forms() -> None:
    header, _ = reduced(png(COLORS[DIGITS], RGB, 8, after=[(b"unSF", b"?")]))

    assert form(header) == (RGB, 8)


def test_chunks_that_the_policy_removes_do_not_rule_out_forms() -> None:
    samples, color, depth, expected = CASES["RGB that is grey"]
    data = png(samples, color, depth, [(b"iCCP", PROFILES[b"RGB "]), (b"unSF", b"?"), (b"bKGD", b"\0\1\0\2\0\3")])

    assert form(reduced(data, metadata="strip")[0]) == expected


def test_chunks_are_in_the_order_of_the_standard() -> None:
    before = [(b"bKGD", struct.pack(">3H", *COLORS[3])), (b"gAMA", bytes(4)), (b"tEXt", b"a\0b"), (b"sBIT", b"\5\5\5")]

    header, _ = reduced(png(COLORS[DIGITS], RGB, 8, before))

    assert [chunk.type for chunk in header.chunks] == [b"gAMA", b"sBIT", b"PLTE", b"bKGD", b"tEXt"]


def test_idot_is_removed() -> None:
    header, _ = reduced(png(COLORS[DIGITS], RGB, 8, [(b"iDOT", bytes(28))]))

    assert form(header) == (PALETTE, 4)
    assert [chunk.type for chunk in header.chunks] == [b"PLTE"]


@pytest.mark.parametrize("color, depth", FORMATS)
def test_interlaced_images_of_every_kind_keep_their_pixels(color: Any, depth: Any) -> None:
    data, _ = made(45, 37, color, depth)

    result = pipeline.compress(data)

    header, found = decode_interlaced(result.data)
    expected_header, expected = decode_interlaced(data)
    assert "defect" not in result.report.reason
    assert pixels_of(header, found) == pixels_of(expected_header, expected)


@pytest.mark.parametrize("height, band", list(itertools.product([1, 5, 63, 64, 65, 1000], [1, 7, 2000])))
def test_the_sample_does_not_depend_on_the_bands(height: Any, band: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.png.reduction.RUN_PIXELS", 400)
    rows = RNG.integers(0, 256, (height, 100), np.uint8)
    header = read_header(ByteStream([png(rows.reshape(height, 100, 1), GREY, 8)]))
    runs = []
    for lines in (band, height):
        survey = Survey(header, Effort.BALANCED)
        for top in range(0, height, lines):
            survey.add(rows[top : top + lines])
        runs.append([np.concatenate(run).tolist() for run in survey._runs])

    assert runs[0] == runs[1]
    assert 1 <= len(runs[0]) <= 8


def pam(data: bytes) -> bytes:
    return subprocess.run(["pngtopam", "-alphapam"], input=data, capture_output=True, check=True).stdout


def rgba_of(data: bytes) -> bytes:
    """Return libpng's samples as 16-bit RGBA."""
    head, raster = pam(data).split(b"ENDHDR\n", 1)
    fields = dict(line.split(b" ", 1) for line in head.splitlines()[1:])
    depth, most = int(fields[b"DEPTH"]), int(fields[b"MAXVAL"])
    samples = np.frombuffer(raster, ">u2" if most > 255 else "u1").astype(int).reshape(-1, depth) * 65535 // most
    return samples[:, [0, 0, 0, 1]].tobytes() if depth == 2 else samples.tobytes()


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
def test_libpng_decodes_the_valid_files_of_the_png_suite_to_the_same_pixels(effort: Any) -> None:
    for path in sorted((CORPUS / "pngsuite").glob("[!x]*.png")):
        data = path.read_bytes()
        result = pipeline.compress(data, effort=effort)
        assert "defect" not in result.report.reason, path.name
        assert rgba_of(result.data) == rgba_of(data), path.name
