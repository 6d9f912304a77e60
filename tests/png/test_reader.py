"""Reading PNG: header, scanlines, pixels, chunk rules; against the reference and against Pillow."""

import io
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.png.header import DEPTHS, SLAB_BYTES, PngHeader, new_header, read_header
from compressor.png.reader import checksum, read_checksum, scanlines, to_pixels
from compressor.png.writer import write
from compressor.settings import Effort
from tests.corpus import CORPUS
from tests.reference import pngfilter as reference

Chunks = Sequence[tuple[bytes, bytes]]
FORMATS = [(color, depth) for color, depths in DEPTHS.items() for depth in depths]
PALETTE = bytes(range(9)) + bytes([255, 0, 128])


def decode(data: bytes, lines: int = 4, cut: int = 1 << 30) -> tuple[PngHeader, np.ndarray, np.ndarray]:
    """Return header, scanlines and pixels."""
    stream = ByteStream([data[at : at + cut] for at in range(0, len(data), cut)])
    header = read_header(stream)
    rows, pixels = [], []
    for band in scanlines(stream, header, lines):
        rows.append(band.copy())
        pixels.append(to_pixels(header, band).copy())
    assert stream.read(1) == b""
    return header, np.concatenate(rows), np.concatenate(pixels)


def made(
    color: int, depth: int, *, width: int = 13, height: int = 11, seed: int = 0, transparency: bytes | None = None,
    **options: Any,
) -> tuple[bytes, np.ndarray]:  # fmt: skip
    """Return a PNG with every filter type, and its scanlines."""
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    rows = reference.random_rows(seed, height, (width * bits + 7) // 8)
    data = reference.filtered_rows(rows, [n % 5 for n in range(height)], max(1, bits // 8))
    before = [(b"PLTE", PALETTE)] if color == 3 else []
    before += [(b"tRNS", transparency)] if transparency is not None else []
    return reference.png(width, height, depth, color, zlib.compress(data), before=before, **options), rows


@pytest.mark.parametrize("color, depth", FORMATS)
def test_every_kind_of_image_agrees_with_the_reference(color: Any, depth: Any) -> None:
    data, rows = made(color, depth)

    header, found, pixels = decode(data)

    np.testing.assert_array_equal(found, rows)
    expected = reference.pixels(13, depth, color, rows, PALETTE)
    np.testing.assert_array_equal(pixels, np.array(expected))
    assert pixels.shape == (11, 13, header.channels)


@pytest.mark.parametrize(
    "color, depth, transparency",
    [
        *((0, depth, (3 & ((1 << depth) - 1)).to_bytes(2, "big")) for depth in (1, 2, 4, 8)),
        *((3, depth, bytes([7, 200])) for depth in (1, 2, 4, 8)),
    ],
)
def test_transparency_becomes_alpha(color: Any, depth: Any, transparency: Any) -> None:
    data, rows = made(color, depth, transparency=transparency)

    header, _, pixels = decode(data)

    assert header.has_alpha
    np.testing.assert_array_equal(pixels, np.array(reference.pixels(13, depth, color, rows, PALETTE, transparency)))


@pytest.mark.parametrize("color, depth", [(0, 8), (0, 16), (2, 8), (2, 16)])
def test_the_transparent_color_is_found(color: int, depth: int) -> None:
    """The transparent color is that of a pixel in the image."""
    _, rows = made(color, depth)
    size = {0: 1, 2: 3}[color]
    key = reference.samples(rows[5], depth, size * 8)[size * 7 :]
    transparency = b"".join(k.to_bytes(2, "big") for k in key)
    data, rows = made(color, depth, transparency=transparency)

    _, _, pixels = decode(data)

    assert pixels[5, 7, -1] == 0
    np.testing.assert_array_equal(pixels, np.array(reference.pixels(13, depth, color, rows, b"", transparency)))


@pytest.mark.parametrize("lines", [1, 3, 11, 64])
def test_the_height_of_the_bands_makes_no_difference(lines: int) -> None:
    data, rows = made(2, 8)

    np.testing.assert_array_equal(decode(data, lines)[1], rows)


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_the_chunking_of_the_input_makes_no_difference(cut: int) -> None:
    data, rows = made(2, 8, idat_bytes=13)

    np.testing.assert_array_equal(decode(data, cut=cut)[1], rows)


def test_bands_wider_than_the_output_of_a_zlib_call_are_read() -> None:
    width = 70_000
    rows = reference.random_rows(3, 3, width * 3)
    data = b"".join(b"\0" + row.tobytes() for row in rows)

    np.testing.assert_array_equal(decode(reference.png(width, 3, 8, 2, zlib.compress(data, 1)))[1], rows)


def test_chunks_are_kept_verbatim_and_in_order() -> None:
    before = [(b"gAMA", b"\0\0\xb1\x8f"), (b"tEXt", b"Title\0a"), (b"prVt", b"")]
    after = [(b"tIME", bytes(7)), (b"tEXt", b"Comment\0b")]
    data, _ = made(2, 8)
    image = reference.png(
        13, 11, 8, 2, data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8], before=before, after=after
    )

    header, _, _ = decode(image)

    assert [(chunk.type, chunk.data) for chunk in header.chunks] == before
    assert [(chunk.type, chunk.data) for chunk in header.trailing] == after
    assert header.chunks[0].offset == 33
    assert header.notices == []


def small(before: Chunks = (), after: Chunks = (), color: int = 2, depth: int = 8, **options: Any) -> bytes:
    """Return an image of 2 x 2 pixels with the chunks."""
    bits = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color] * depth
    data = zlib.compress(bytes(2 * (1 + (2 * bits + 7) // 8)))
    made: bytes = reference.png(2, 2, depth, color, data, before=before, after=after, **options)
    return made


def test_an_unknown_critical_chunk_is_unsupported() -> None:
    with pytest.raises(UnsupportedError, match="PNG: QQQQ at byte 33"):
        decode(small([(b"QQQQ", b"")]))
    with pytest.raises(UnsupportedError, match="PNG: QQQQ"):
        decode(small(after=[(b"QQQQ", b"")]))


@pytest.mark.parametrize(
    "before, problem",
    [
        ([], "PNG: IDAT at byte 33: no PLTE before it"),
        ([(b"PLTE", b"1234")], "PNG: PLTE at byte 33: its length is 4"),
        ([(b"PLTE", b"")], "PNG: PLTE at byte 33: its length is 0"),
        ([(b"PLTE", bytes(771))], "PNG: PLTE at byte 33: its length is 771"),
        ([(b"PLTE", b"123"), (b"PLTE", b"123")], "PNG: PLTE at byte 48: is the second one"),
        ([(b"IHDR", bytes(13))], "PNG: IHDR at byte 33: is the second one"),
    ],
)
def test_chunks_that_break_a_palette_image_are_errors(before: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=problem):
        decode(small(before, color=3))


@pytest.mark.parametrize(
    "color, before",
    [
        (0, [(b"PLTE", b"123")]),
        (2, [(b"PLTE", b"1234")]),
        (2, [(b"tRNS", b"12")]),
        (6, [(b"tRNS", b"123456")]),
        (2, [(b"tRNS", bytes(6)), (b"tRNS", bytes(6))]),
        (3, [(b"PLTE", b"123"), (b"tRNS", b"12")]),
        (3, [(b"tRNS", b"1"), (b"PLTE", b"123")]),
    ],
)
def test_chunks_that_do_not_fit_are_dropped_with_a_notice(color: int, before: Any) -> None:
    """Behave like libpng; each case has one such chunk."""
    header, _, _ = decode(small(before, color=color))

    assert len(header.notices) == 1
    assert "was dropped" in header.notices[0]
    assert len(header.chunks) == len(before) - 1


def test_missing_palette_entries_are_opaque_black() -> None:
    data = zlib.compress(b"\0\x00\x05")
    _, _, pixels = decode(reference.png(2, 1, 8, 3, data, before=[(b"PLTE", b"abcdef"), (b"tRNS", b"\x10")]))

    assert pixels[0].tolist() == [[*b"abc", 16], [0, 0, 0, 255]]


def test_interlaced_and_animated_are_flags() -> None:
    header = read_header(ByteStream([small(interlace=1)]))
    assert header.interlaced
    assert "interlaced" in header.description
    assert read_header(ByteStream([small([(b"acTL", bytes(8))])])).animated


def test_animation_frames_are_not_held_in_memory() -> None:
    data = small([(b"acTL", bytes(8)), (b"fcTL", bytes(26))], [(b"fcTL", bytes(26)), (b"fdAT", bytes(1000))])

    header, _, pixels = decode(data)

    assert header.animated
    assert header.trailing == []
    assert pixels.shape == (2, 2, 3)


def test_bytes_after_the_zlib_stream_are_tolerated_with_a_notice() -> None:
    image = zlib.compress(bytes(14)) + b"garbage"

    header, rows, _ = decode(reference.png(2, 2, 8, 2, image, idat_bytes=5))

    assert header.notices == ["7 bytes after the compressed image data were dropped"]
    assert not rows.any()


@pytest.mark.parametrize(
    "image, problem",
    [
        (zlib.compress(bytes(15)), "more image data than the header's size needs"),
        (zlib.compress(bytes(13)), "the zlib stream ends in row 1 of 2"),
        (zlib.compress(b""), "the zlib stream ends in row 0 of 2"),
        (zlib.compress(bytes(14))[:-1], "ends before its zlib stream"),
        (b"", "ends before its zlib stream"),
        (zlib.compress(bytes(14))[:-1] + b"\0", "invalid zlib stream"),
        (b"not zlib", "invalid zlib stream"),
        (zlib.compress(b"\0\0\0\0\0\0\0\7\0\0\0\0\0\0"), "row 1 has filter type 7, expected 0 to 4"),
    ],
)
def test_invalid_image_data_is_an_error_with_an_offset(image: Any, problem: str) -> None:
    with pytest.raises(FormatError, match=f"^PNG: IDAT at byte [0-9]+: .*{problem}") as raised:
        decode(reference.png(2, 2, 8, 2, image or b"", before=(), idat_bytes=4) if image else _without_image_data())
    assert raised.value.place == "IDAT"
    assert raised.value.offset is not None


def _without_image_data() -> bytes:
    data: bytes = small()
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    empty: bytes = reference.chunk(b"IDAT", b"")
    return data[:start] + empty + data[end:]


def test_idat_chunks_must_be_consecutive() -> None:
    image = zlib.compress(bytes(14))
    whole = reference.png(2, 2, 8, 2, image)
    between = (
        reference.chunk(b"IDAT", image[:5]) + reference.chunk(b"tEXt", b"a\0b") + reference.chunk(b"IDAT", image[5:])
    )
    start, end = whole.index(b"IDAT") - 4, whole.index(b"IEND") - 4
    with pytest.raises(FormatError, match="ends before its zlib stream"):
        decode(whole[:start] + between + whole[end:])
    with pytest.raises(FormatError, match="must be consecutive"):
        decode(small(after=[(b"tEXt", b"a\0b"), (b"IDAT", b"")]))


def test_an_ancillary_chunk_with_a_wrong_crc_is_dropped_with_a_notice() -> None:
    data = bytearray(small([(b"tEXt", b"Title\0text")]))
    data[data.index(b"Title")] ^= 1

    header, _, _ = decode(bytes(data))

    assert header.chunks == []
    assert header.notices == ["tEXt at byte 33 has a wrong CRC and was dropped"]


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE"])
def test_a_critical_chunk_with_a_wrong_crc_is_an_error(name: bytes) -> None:
    data = bytearray(small([(b"PLTE", b"123")], color=3))
    at = data.index(name)
    length = int.from_bytes(data[at - 4 : at], "big")
    data[at + 4 + length] ^= 1
    with pytest.raises(FormatError, match=f"PNG: {name.decode()} at byte .*CRC"):
        decode(bytes(data))


def test_a_side_above_the_limit_is_rejected_before_anything_is_allocated() -> None:
    with pytest.raises(LimitError, match="1000001 x 1 pixels"):
        read_header(ByteStream([reference.png(1_000_001, 1, 8, 2, b"")]))


def test_metadata_above_the_limit_is_rejected_by_its_length_alone() -> None:
    head = small()[:33]
    with pytest.raises(LimitError, match="tEXt at byte 33: 1073741824 bytes"):
        read_header(ByteStream([head + (1 << 30).to_bytes(4, "big") + b"tEXt" + bytes(19)]))


def test_the_total_of_metadata_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.png.header.METADATA_BYTES_MAX", 1000)
    read_header(ByteStream([small([(b"tEXt", b"a" * 400)])]))
    with pytest.raises(LimitError):
        read_header(ByteStream([small([(b"tEXt", b"a" * 400)] * 3)]))
    with pytest.raises(LimitError):
        read_header(ByteStream([small([(b"tEXt", b"")] * 20 + [(b"tEXt", b"a")])]))


def test_the_digest_depends_on_pixels_and_not_on_the_encoding() -> None:
    one, _ = made(3, 8)
    again, _ = made(3, 8, idat_bytes=50)
    other, _ = made(3, 8, seed=1)
    transparent, _ = made(3, 8, transparency=b"\0")
    digests = [read_checksum(ByteStream([data])) for data in (one, again, other, transparent)]

    assert digests[0] == digests[1]
    assert len({*digests}) == 3
    stream = ByteStream([one])
    header = read_header(stream)
    running = checksum(header)
    for rows in scanlines(stream, header, 2):
        running.update(rows.data)
    assert running.digest() == digests[0]


PIL_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def test_the_png_suite_is_decoded_as_pillow_does() -> None:
    """Compare with Pillow up to 8 bits, not interlaced. For 16 bits, which Pillow reduces, and tRNS of packed grey,
    which it compares unscaled, compare with the reference."""
    for path in sorted((CORPUS / "pngsuite").glob("[!x]*.png")):
        data = path.read_bytes()
        if read_header(ByteStream([data])).interlaced:
            continue
        header, rows, pixels = decode(data)
        if header.bit_depth == 16 or (header.bit_depth < 8 and header.color_type == 0 and header.transparency):
            shape = (header.width, header.bit_depth, header.color_type)
            expected = np.array(reference.pixels(*shape, rows, b"", header.transparency))
        else:
            expected = np.asarray(Image.open(io.BytesIO(data)).convert(PIL_MODES[header.channels]))
        np.testing.assert_array_equal(pixels, expected.reshape(pixels.shape), err_msg=path.name)


def test_the_broken_files_of_the_png_suite_end_in_a_clear_error() -> None:
    for path in sorted((CORPUS / "pngsuite").glob("x*.png")):
        with pytest.raises(FormatError, match="^PNG: (signature|IHDR|IDAT|IEND) at byte [0-9]+: ."):
            decode(path.read_bytes())


@pytest.mark.parametrize("width, height, lines", [(1, 300_000, 200_000), (3000, 131, 64), (100_000, 9, 4)])
def test_bands_of_several_slabs_are_read(width: int, height: int, lines: int) -> None:
    rows = np.random.default_rng(3).integers(0, 256, (height, 3 * width), np.uint8)
    header = new_header(width, height, 3)
    data = b"".join(write(header, [rows], effort=Effort.FAST))
    stream = ByteStream([data])

    found = np.concatenate([band.copy() for band in scanlines(stream, read_header(stream), lines)])

    assert header.slab_lines < lines
    assert header.slab_lines == 1 or header.slab_lines * (header.row_bytes + 1) <= SLAB_BYTES
    np.testing.assert_array_equal(found, rows)


def test_a_checksum_depends_on_the_order_of_scanlines() -> None:
    rows = np.random.default_rng(3).integers(0, 256, (9, 40), np.uint8)
    digests = set()
    for order in (range(9), reversed(range(9)), (1, 0, *range(2, 9))):
        found = checksum(new_header(40, 9, 1))
        for place in order:
            found.update(rows[place].data)
        digests.add(found.digest())

    assert len(digests) == 3
