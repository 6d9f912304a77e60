"""Conversion of PNG's metadata to and from the shared form, and the effect of policies."""

import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from compressor.errors import LimitError
from compressor.icc import color_space, profile_name
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.png.chunks import METADATA_BYTES_MAX, Chunk
from compressor.png.header import new_header
from compressor.png.metadata import metadata_chunks, read_metadata
from compressor.settings import Metadata

PROFILE = bytes(16) + b"RGB " + bytes(108)


def reading(*chunks: tuple[bytes, bytes]) -> Attachments:
    header = new_header(1, 1, 3)
    header.chunks += [Chunk(kind, data) for kind, data in chunks]
    return read_metadata(header)


def test_written_metadata_is_read_again() -> None:
    attachments = Attachments(
        icc=PROFILE,
        exif=orientation_exif(3),
        xmp="<x:xmpmeta>ä</x:xmpmeta>".encode(),
        comments=("plain", "Author: Zoë", "日本", "no: keyword  here: "),
        density=(11811, 5906),
    )
    chunks, notices = metadata_chunks(attachments)

    assert notices == []
    assert reading(*((chunk.type, chunk.data) for chunk in chunks)) == attachments


def test_texts_are_read_in_all_three_kinds() -> None:
    found = reading(
        (b"tEXt", b"Comment\0caf\xe9"),
        (b"zTXt", b"Author\0\0" + zlib.compress(b"Zo\xeb")),
        (b"iTXt", b"Title\0\1\0de\0Titel\0" + zlib.compress("日本".encode())),
    )

    assert found.comments == ("café", "Author: Zoë", "Title: 日本")


@pytest.mark.parametrize(
    "kind, data",
    [
        (b"tEXt", b"no zero byte"),
        (b"tEXt", b"\0empty keyword"),
        (b"zTXt", b"a\0\0not zlib"),
        (b"zTXt", b"a\0\0" + zlib.compress(b"text")[:-1]),
        (b"iTXt", b"a\0\0\0too few"),
        (b"iTXt", b"a\0\0\0\0\0\xff not UTF-8"),
        (b"iCCP", b"a"),
        (b"iCCP", b"a\0"),
        (b"pHYs", b"short"),
        (b"cHRM", b"short"),
    ],
)
def test_unreadable_chunks_are_reported(kind: bytes, data: Any) -> None:
    found = reading((kind, data))

    assert found.notices == (f"{kind.decode()} at byte -1 can't be read and is not carried over",)
    assert found.comments == ()


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_compressed_metadata_is_bounded(kind: bytes) -> None:
    with pytest.raises(LimitError, match="16 MiB"):
        reading((kind, b"a\0\0" + zlib.compress(bytes(METADATA_BYTES_MAX + 1))))


def test_the_total_of_compressed_metadata_is_bounded() -> None:
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(METADATA_BYTES_MAX // 2)))
    assert len(reading(text, text).comments) == 2
    with pytest.raises(LimitError, match="16 MiB"):
        reading(text, text, (b"zTXt", b"a\0\0" + zlib.compress(b"c")))


def test_chunks_without_a_field_are_reported_unless_they_are_dispensable() -> None:
    srgb = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    quiet = [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", srgb), (b"tIME", bytes(7)), (b"cICP", b"\1\x0d\0\1")]

    assert reading(*quiet).notices == ()
    assert reading((b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")).notices == ()
    assert reading((b"gAMA", struct.pack(">I", 100000)), (b"prVt", b"")).notices == (
        "not carried over from PNG: prVt",
        "the color space (gAMA) is not carried over: colors will differ",
    )


def test_a_profile_that_does_not_match_is_not_put_into_a_png() -> None:
    chunks, notices = metadata_chunks(Attachments(icc=PROFILE), grey=True)

    assert chunks == []
    assert notices == ["the ICC profile is for RGB pixels, which the PNG does not have: not carried over"]


@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_written_as_others_read_it(value: Any) -> None:
    exif = Image.Exif()
    exif.load(orientation_exif(value))

    assert dict(exif) == {0x0112: value}
    assert orientation(orientation_exif(value)) == value


def test_orientation_of_little_endian_exif_is_read() -> None:
    assert orientation(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\5\0\0\0\0\0\0\0") == 5


@pytest.mark.parametrize(
    "exif", [None, b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", orientation_exif(6)[:15], b"nothing", orientation_exif(9)]
)
def test_an_unreadable_orientation_is_upright(exif: Any) -> None:
    assert orientation(exif) == 1


def test_policies_keep_what_they_state() -> None:
    full = Attachments(icc=PROFILE, exif=orientation_exif(6) + b"more", xmp=b"x", comments=("c",), density=(1, 1))

    assert full.reduced(Metadata.KEEP) is full
    assert full.reduced(Metadata.COLOR) == Attachments(icc=PROFILE, exif=orientation_exif(6))
    assert full.reduced(Metadata.STRIP) == Attachments(
        exif=orientation_exif(6), notices=("the ICC profile (unnamed) was removed: colors will differ",)
    )
    assert Attachments(exif=orientation_exif(1)).reduced(Metadata.COLOR).exif is None


GAMMA = (b"gAMA", struct.pack(">I", 100000))
CHROMATICITIES = (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
PROFILE_CHUNK = (b"iCCP", b"P3\0\0" + zlib.compress(PROFILE))


@pytest.mark.parametrize(
    "chunks, named",
    [
        ([GAMMA], "gAMA"),
        ([CHROMATICITIES], "cHRM"),
        ([GAMMA, CHROMATICITIES], "cHRM, gAMA"),
        ([(b"cICP", b"\x0c\x0d\0\0")], "cICP: Display P3, narrow range"),
        ([(b"cICP", b"\x09\x10\0\1")], "cICP: BT.2020 with PQ"),
        ([(b"cICP", b"\x09\x12\0\1"), GAMMA, CHROMATICITIES], "cICP: BT.2020 with HLG"),
        ([(b"cICP", b"\x09\x10\0\1"), PROFILE_CHUNK], "cICP: BT.2020 with PQ"),
        ([(b"cICP", b"\x63\x06\0\1")], "cICP: primaries 99 of H.273"),
        ([(b"cICP", b"\x01\x0d\0\1"), GAMMA, CHROMATICITIES], ""),
        ([PROFILE_CHUNK, GAMMA, CHROMATICITIES], ""),
        ([(b"sRGB", b"\0"), GAMMA, CHROMATICITIES], ""),
    ],
)
@pytest.mark.parametrize("policy", list(Metadata))
def test_a_lost_color_space_is_reported_under_every_policy(chunks: Any, named: str, policy: Any) -> None:
    found = reading(*chunks).reduced(policy).notices

    color_notices = [notice for notice in found if notice.startswith("the color space")]
    assert color_notices == ([f"the color space ({named}) is not carried over: colors will differ"] if named else [])


def test_a_profile_of_code_points_takes_precedence() -> None:
    display_p3 = (b"cICP", b"\x0c\x0d\0\1")
    for chunks in ([display_p3], [display_p3, GAMMA], [display_p3, PROFILE_CHUNK]):
        found = reading(*chunks)
        assert found.icc is not None
        assert (profile_name(found.icc), color_space(found.icc), found.notices) == ("Display P3", "RGB", ())
    assert reading((b"cICP", b"\1\x0d\0\1"), PROFILE_CHUNK).icc is None
    assert reading((b"cICP", b"\x09\x10\0\1"), PROFILE_CHUNK).icc == PROFILE  # for those who can't show PQ


@pytest.mark.parametrize("kind, data", [(b"gAMA", b"\0"), (b"cHRM", bytes(31)), (b"cICP", b"\x09"), (b"pHYs", b"\1")])
def test_color_chunks_of_a_wrong_length_are_reported(kind: bytes, data: Any) -> None:
    (notice,) = reading((kind, data)).notices

    assert notice.startswith(f"{kind.decode()} at byte") and notice.endswith("can't be read and is not carried over")


@pytest.mark.parametrize("x, y, found", [(3, 2, (3, 2)), (1, 1, None), (0, 2, None), (0, 0, None)])
def test_a_density_without_a_unit_is_an_aspect_ratio(x: int, y: int, found: Any) -> None:
    attachments = reading((b"pHYs", struct.pack(">IIB", x, y, 0)))

    assert (attachments.aspect, attachments.density) == (found, None)
    chunks, _ = metadata_chunks(attachments)
    assert [chunk.data for chunk in chunks] == ([struct.pack(">IIB", x, y, 0)] if found else [])
