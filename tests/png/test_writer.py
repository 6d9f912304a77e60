"""Writing PNG: lossless, in pieces, with the metadata that the policy keeps."""

import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.bytestream import ByteStream
from compressor.errors import LimitError
from compressor.metadata import orientation, orientation_exif
from compressor.png.chunks import Chunk
from compressor.png.header import DEPTHS, new_header, read_header
from compressor.png.reader import read_checksum, scanlines
from compressor.png.writer import OUTPUT_BYTES, write
from compressor.settings import Effort, Metadata
from tests.corpus import CORPUS
from tests.png.test_reader import FORMATS, decode, made
from tests.reference import pngfilter as reference


def rewritten(data: bytes, lines: int = 16, **options: Any) -> bytes:
    """Decode and encode a PNG in a stream."""
    stream = ByteStream([data])
    header = read_header(stream)
    return b"".join(write(header, scanlines(stream, header, lines), **options))


@pytest.mark.parametrize("color, depth", FORMATS)
@pytest.mark.parametrize("effort", Effort)
def test_every_kind_of_image_survives_a_rewrite(color: Any, depth: Any, effort: Any) -> None:
    data, rows = made(color, depth)

    again = rewritten(data, 3, effort=effort)

    assert read_checksum(ByteStream([again])) == read_checksum(ByteStream([data]))
    np.testing.assert_array_equal(decode(again)[1], rows)
    Image.open(io.BytesIO(again)).load()


@pytest.mark.parametrize("channels, mode", [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
def test_pixels_written_are_pixels_read_by_pillow(channels: int, mode: str) -> None:
    rng = np.random.default_rng(channels)
    pixels = rng.integers(0, 256, (37, 21, channels), dtype=np.uint8)
    bands = (pixels[top : top + 5] for top in range(0, 37, 5))

    data = b"".join(write(new_header(21, 37, channels), bands))

    image = Image.open(io.BytesIO(data))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_read_only_bands_are_accepted() -> None:
    pixels = np.frombuffer(bytes(range(12)), np.uint8).reshape(2, 2, 3)

    assert decode(b"".join(write(new_header(2, 2, 3), [pixels])))[1].tobytes() == pixels.tobytes()


def test_output_comes_in_pieces_of_limited_size() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (400, 1000, 3), dtype=np.uint8)
    header = new_header(1000, 400, 3)
    header.chunks.append(Chunk(b"prVt", bytes(3 * OUTPUT_BYTES)))

    pieces = list(write(header, [pixels], effort=Effort.FAST))

    assert max(map(len, pieces)) == OUTPUT_BYTES
    assert decode(b"".join(pieces), 100)[1].tobytes() == pixels.tobytes()


def filter_types(data: bytes, row_bytes: int) -> set[int]:
    """Return the filter types of all scanlines of a PNG with one IDAT chunk."""
    inflated = zlib.decompress(data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8])
    return set(inflated[:: 1 + row_bytes])


def test_packed_images_are_not_filtered_and_palettes_not_in_one_pass() -> None:
    for color, depth, effort in ((0, 4, "balanced"), (3, 2, "best"), (3, 8, "fast")):
        data, rows = made(color, depth)

        assert filter_types(rewritten(data, effort=Effort(effort)), len(rows[0])) == {0}


@pytest.mark.parametrize("effort", [Effort.BALANCED, Effort.BEST])
def test_filters_are_chosen_by_their_compressed_size(effort: Any) -> None:
    """Text repeats, whatever its neighbors are; a slope has differences that do."""
    rng = np.random.default_rng(3)
    letters = rng.integers(0, 256, (64, 5), dtype=np.uint8)
    text = letters[rng.integers(0, 64, (60, 40))].reshape(60, 200, 1)
    slope = (np.add.outer(np.arange(60) ** 2, np.arange(200) * 3) % 256).astype(np.uint8).reshape(60, 200, 1)

    assert filter_types(b"".join(write(new_header(200, 60, 1), [text], effort=effort)), 200) == {0}
    assert 0 not in filter_types(b"".join(write(new_header(200, 60, 1), [slope], effort=effort)), 200)


@pytest.mark.parametrize("effort", Effort)
def test_the_bands_in_which_scanlines_come_do_not_matter(effort: Any) -> None:
    """Or a second run, whose source has another form, would choose other filters."""
    rng = np.random.default_rng(4)
    pixels = np.vstack([np.arange(2000) // 9 % 256 + rng.integers(0, 3, (200, 2000)), np.zeros((200, 2000), int)])
    rows = pixels.astype(np.uint8)[:, :, None]
    header = new_header(2000, 400, 1)

    made = {b"".join(write(header, (rows[y : y + n] for y in range(0, 400, n)), effort=effort)) for n in (1, 77, 400)}

    assert len(made) == 1


def test_fast_chooses_filters_again_below() -> None:
    """A blank top says nothing about a photograph below it."""
    rng = np.random.default_rng(5)
    slope = np.add.outer(np.arange(600) * 2, np.arange(3000)) + rng.integers(0, 9, (600, 3000))
    rows = np.vstack([np.zeros((400, 3000), np.uint8), slope.astype(np.uint8)])[:, :, None]

    data = b"".join(write(new_header(3000, 1000, 1), [rows], effort=Effort.FAST))

    assert decode(data)[1].tobytes() == rows.tobytes()
    above = b"".join(write(new_header(3000, 600, 1), [rows[400:]], effort=Effort.FAST))
    assert len(data) < 1.1 * len(above)


def test_a_wrong_number_of_scanlines_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 scanlines were given for an image of 2"):
        list(write(new_header(1, 2, 1), [np.zeros((1, 1), np.uint8)]))


def test_a_size_that_png_can_not_hold_is_a_limit_error() -> None:
    with pytest.raises(LimitError):
        new_header(2_000_000, 1, 3)


EVERYTHING = [
    (b"gAMA", b"\0\0\xb1\x8f"),
    (b"iCCP", b"a\0\0" + zlib.compress(b"profile")),
    (b"PLTE", bytes(3)),
    (b"tRNS", bytes(6)),
    (b"eXIf", orientation_exif(6) + b"and a position on the map"),
    (b"prVt", b"private"),
]


def image_with_everything() -> bytes:
    after = [(b"tEXt", b"Comment\0late")]
    data: bytes = reference.png(2, 2, 8, 2, zlib.compress(bytes(14)), before=EVERYTHING, after=after)
    return data


def test_metadata_is_kept_verbatim() -> None:
    header, _, _ = decode(rewritten(image_with_everything()))

    assert [(chunk.type, chunk.data) for chunk in header.chunks] == EVERYTHING
    assert [(chunk.type, chunk.data) for chunk in header.trailing] == [(b"tEXt", b"Comment\0late")]


def test_color_keeps_color_and_orientation() -> None:
    header, _, _ = decode(rewritten(image_with_everything(), metadata=Metadata.COLOR))

    assert [chunk.type for chunk in header.chunks] == [b"gAMA", b"iCCP", b"PLTE", b"tRNS", b"eXIf"]
    assert orientation(header.chunks[-1].data) == 6
    assert header.chunks[-1].data == orientation_exif(6)
    assert header.trailing == []


def test_strip_keeps_what_the_samples_need() -> None:
    header, _, _ = decode(rewritten(image_with_everything(), metadata=Metadata.STRIP))

    assert [chunk.type for chunk in header.chunks] == [b"PLTE", b"tRNS", b"eXIf"]
    assert header.chunks[-1].data == orientation_exif(6)
    assert header.trailing == []


def test_the_valid_files_of_the_png_suite_survive_a_rewrite() -> None:
    for path in sorted((CORPUS / "pngsuite").glob("[!x]*.png")):
        data = path.read_bytes()
        if not read_header(ByteStream([data])).interlaced:
            assert read_checksum(ByteStream([rewritten(data)])) == read_checksum(ByteStream([data])), path.name


def test_all_legal_depths_are_tested() -> None:
    assert len(FORMATS) == sum(map(len, DEPTHS.values())) == 15
