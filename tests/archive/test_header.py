"""Headers of archives: what they say, and hostile ones, which are refused before the library sees them."""

import random
import struct
from collections.abc import Callable

import pytest

from compressor import archive, pipeline
from compressor.archive.header import EXPANDED_BYTES_MAX, TAIL_BYTES_MAX
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.memory import Resources
from tests.archive.files import PLAIN, photo_archive
from tests.fuzz.blind import BLIND
from tests.jpeg_files import jpeg
from tests.planted import jxl
from tests.planted.box import box
from tests.readable import InMemory

EXIF = b"Exif\0\0" + b"II*\0\10\0\0\0\0\0\0\0\0\0"


def boxes_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the types and contents of boxes that have a 32-bit size, or go on to the end of the file."""
    found, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + size if size else len(data)
        found.append((kind, data[at + 8 : end]))
        at = end
    return found


def with_box(data: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a file with the content of its boxes of a type changed."""
    return b"".join(box(name, change(content) if name == kind else content) for name, content in boxes_of(data))


def bits(*fields: tuple[int, int]) -> bytes:
    """Return fields of (value, bits), least significant bit first."""
    value = at = 0
    for field, count in fields:
        value |= field << at
        at += count
    return value.to_bytes(at // 8 + 1, "little")


def reconstruction(*markers: int) -> bytes:
    """Return the beginning of a box `jbrd` of three components, with segments of 0x8001 bytes."""
    fields = [(0, 1), *((marker - 0xC0, 6) for marker in markers)]
    fields += [(0, 2), (0x7FFF, 16)] * sum(marker & 0xF0 == 0xE0 for marker in markers)
    fields += [(0x7FFF, 16)] * markers.count(0xFE)
    return bits(*fields) + bytes(8)


def header_of(data: bytes) -> archive.ArchiveHeader:
    return archive.read_header(InMemory(data))


def test_headers_of_archives() -> None:
    for data, channels in ((jpeg(300, 200), 3), (jpeg(300, 200, "L"), 1), (jpeg(300, 200, exif=EXIF), 3)):
        made = archive.jxl_of(data)
        found = header_of(made)

        assert (found.width, found.height, found.channels) == (300, 200, channels)
        assert found.metadata_bytes >= TAIL_BYTES_MAX + len(data[: data.index(b"\xff\xdb")]) - 2
        assert found.boxed_bytes < 50_000
        assert archive.jpeg_bytes_max(found, len(made)) >= len(data)
        assert archive.unarchiving_bytes(found, len(made)) > found.metadata_bytes


def test_an_orientation_in_exif_is_in_the_image_header_too() -> None:
    turned = EXIF[:6] + b"II*\0\10\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    found = header_of(archive.jxl_of(jpeg(300, 200, exif=turned)))
    assert (found.width, found.height) == (300, 200)


def test_a_truncated_archive_is_an_error_with_a_place() -> None:
    data, made = photo_archive()
    for size in [*range(0, len(made), 97), len(made) - 1]:
        with pytest.raises(FormatError) as caught:
            b"".join(pipeline.unarchive_stream(made[:size]))
        assert caught.value.place in ("signature", "box", "jbrd", "jxlp", "codestream", "ftyp")
    assert b"".join(pipeline.unarchive_stream(made)) == data


def test_files_without_what_a_jpeg_is_made_of() -> None:
    _, made = photo_archive()
    removed = b"".join(box(kind, content) for kind, content in boxes_of(made) if kind != b"jbrd")
    twice = with_box(made, b"jbrd", lambda content: content + box(b"jbrd", content))
    twice = b"".join(box(kind, content) for kind, content in [*boxes_of(made)[:4], *boxes_of(made)[3:]])

    with pytest.raises(UnsupportedError, match="no JPEG can be made without a box jbrd: it was not made of a JPEG"):
        header_of(removed)
    with pytest.raises(FormatError, match="jbrd at byte .*: a second one"):
        header_of(twice)
    for found in jxl.files():
        with pytest.raises((UnsupportedError, FormatError)):
            header_of(found.data)
    with pytest.raises(UnsupportedError, match="a bare codestream"):
        header_of(jxl.LOSSLESS)
    with pytest.raises(UnsupportedError, match="JPEG: only an archive"):
        b"".join(pipeline.unarchive_stream(PLAIN))
    with pytest.raises(FormatError, match="no known image format"):
        b"".join(pipeline.unarchive_stream(b"text"))


IMAGE = (0x0AFF, 16)
UNLIKE_JPEG = {
    "all defaults": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (1, 1)), "XYB colors"),
    "preview": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (0, 1), (1, 1), (0, 3), (0, 1), (1, 1)), "a preview"),
    "animation": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (0, 1), (1, 1), (0, 5), (1, 1)), "an animation"),
    "intrinsic size": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (0, 1), (1, 1), (0, 3), (1, 1)), "an intrinsic size"),
    "extra channels": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (0, 1), (0, 1), (0, 3), (1, 1), (1, 2)), "extra channels"),
    "XYB": (bits(IMAGE, (1, 1), (0, 5), (1, 3), (0, 1), (0, 1), (0, 3), (1, 1), (0, 2), (1, 1)), "XYB colors"),
}


@pytest.mark.parametrize("name", UNLIKE_JPEG)
def test_image_headers_that_no_jpeg_has(name: str) -> None:
    codestream, problem = UNLIKE_JPEG[name]
    with pytest.raises(FormatError, match=f"image header: {problem}, which no JPEG has"):
        header_of(jxl.jxl(box(b"jbrd", reconstruction(0xDA, 0xD9)), box(b"jxlc", codestream + bytes(9))))


def test_sizes_that_no_jpeg_has() -> None:
    large = bits(IMAGE, (0, 1), (3, 2), ((1 << 30) - 1, 30), (1, 3)) + bytes(9)
    with pytest.raises(LimitError, match="1073741824 x 1073741824 pixels"):
        header_of(jxl.jxl(box(b"jbrd", reconstruction(0xDA, 0xD9)), box(b"jxlc", large)))


def test_what_a_jpeg_would_take_besides_its_pixels_is_counted() -> None:
    _, made = photo_archive()

    def counted(*markers: int) -> int:
        return header_of(with_box(made, b"jbrd", lambda _: reconstruction(*markers))).metadata_bytes

    assert counted(0xDA, 0xD9) == TAIL_BYTES_MAX
    assert counted(0xE1, 0xEF, 0xFE, 0xDA, 0xD9) == TAIL_BYTES_MAX + 3 * 0x8001
    assert counted(*[0xFF] * 7, 0xDA, 0xD9) == TAIL_BYTES_MAX + 7 * 0x10000
    assert counted(*[0xE2] * 16000, 0xDA, 0xD9) == TAIL_BYTES_MAX + 16000 * 0x8001
    with pytest.raises(LimitError, match="more than 16384 markers"):
        counted(*[0xE2] * 16385)
    with pytest.raises(LimitError, match="more than 100 scans"):
        counted(*[0xDA] * 101, 0xD9)
    with pytest.raises(FormatError, match="jbrd at byte .*: truncated"):
        header_of(with_box(made, b"jbrd", lambda content: content[:3]))


def test_half_a_gigabyte_of_segments_is_refused_by_a_budget() -> None:
    _, made = photo_archive()
    hostile = with_box(made, b"jbrd", lambda _: reconstruction(*[0xE2] * 16000, 0xDA, 0xD9))

    with pytest.raises(LimitError, match="more than the whole memory budget"):
        b"".join(pipeline.unarchive_stream(hostile, resources=Resources(memory_budget=256 << 20)))


def test_compressed_boxes_are_counted_by_the_size_in_them() -> None:
    """Window size, ISLAST, ISLASTEMPTY, MNIBBLES, MLEN - 1 of Brotli's first meta-block (RFC 7932, 9)."""
    _, made = photo_archive()
    without = header_of(b"".join(box(kind, content) for kind, content in boxes_of(made) if kind != b"brob")).boxed_bytes

    def counted(*fields: tuple[int, int], kind: bytes = b"Exif") -> int:
        inserted = box(b"brob", kind + bits(*fields) + bytes(8))
        parts = [box(name, content) for name, content in boxes_of(made) if name != b"brob"]
        return header_of(b"".join([*parts[:3], inserted, *parts[3:]])).boxed_bytes - without

    assert counted((0, 1), (1, 1), (0, 1), (0, 2), (999, 16)) == 2000
    assert counted((0b1011, 4), (1, 1), (0, 1), (1, 2), (65_999, 20)) == 132_000
    assert counted((0b0001, 4), (2, 3), (1, 1), (0, 1), (0, 2), (999, 16)) == 2000
    assert counted((0, 1), (1, 1), (0, 1), (2, 2), ((1 << 24) - 1, 24)) == 1 << 25
    assert counted((0, 1), (1, 1), (1, 1)) == 0
    assert counted((0, 1), (0, 1)) == EXPANDED_BYTES_MAX  # more meta-blocks follow
    assert counted((0, 1), (1, 1), (0, 1), (3, 2)) == EXPANDED_BYTES_MAX
    assert counted((0, 1), (0, 1), kind=b"jumb") == 0  # the library leaves it alone


def test_damaged_archives_end_in_an_error_or_a_jpeg() -> None:
    """The library has no checksum, so some damaged archives give a JPEG, of which nothing is known."""
    made = tuple(archive.jxl_of(jpeg(96, 64, **options)) for options in ({}, {"progressive": True}, {"exif": EXIF}))
    resources, counts = Resources(memory_budget=256 << 20), {True: 0, False: 0}
    for number in range(60):
        rng = random.Random(f"archive {number}")
        damaged = rng.choice(made)
        for _ in range(rng.choice((1, 1, 2))):
            damaged = rng.choice(BLIND)(rng, damaged, made)
        try:
            again = b"".join(pipeline.unarchive_stream(damaged, resources=resources))
            assert again.startswith(b"\xff\xd8")
            counts[True] += 1
        except CompressorError as error:
            assert "\n" not in str(error)
            counts[False] += 1
        assert resources.reserved_bytes == 0
    assert counts[False] > 40
