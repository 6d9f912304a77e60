"""Metadata of PNG to and from the neutral form, and what a policy leaves of it."""

import struct
import zlib

import pytest
from PIL import Image

from compressor.errors import LimitError
from compressor.metadata import Attachments, orientation, orientation_exif
from compressor.png.chunks import Chunk
from compressor.png.header import new_header
from compressor.png.metadata import METADATA_BYTES_MAX, metadata_chunks, read_metadata
from compressor.settings import Metadata

PROFILE = bytes(16) + b"RGB " + bytes(108)


def reading(*chunks):
    header = new_header(1, 1, 3)
    header.chunks += [Chunk(kind, data) for kind, data in chunks]
    return read_metadata(header)


def test_what_is_written_is_read():
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


def test_texts_are_read_in_all_three_kinds():
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
def test_chunks_that_can_not_be_read_are_named(kind, data):
    found = reading((kind, data))

    assert found.notices == (f"{kind.decode()} at byte -1 can't be read and is not carried over",)
    assert found.comments == ()


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_compressed_metadata_is_bounded(kind):
    with pytest.raises(LimitError, match="16 MiB"):
        reading((kind, b"a\0\0" + zlib.compress(bytes(METADATA_BYTES_MAX + 1))))


def test_compressed_metadata_is_bounded_in_all():
    text = (b"zTXt", b"a\0\0" + zlib.compress(bytes(METADATA_BYTES_MAX // 2)))
    assert len(reading(text, text).comments) == 2
    with pytest.raises(LimitError, match="16 MiB"):
        reading(text, text, (b"zTXt", b"a\0\0" + zlib.compress(b"c")))


def test_what_has_no_place_is_named_and_what_says_nothing_is_not():
    srgb = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    quiet = [(b"gAMA", struct.pack(">I", 45455)), (b"cHRM", srgb), (b"tIME", bytes(7)), (b"cICP", b"\1\x0d\0\1")]

    assert reading(*quiet).notices == ()
    assert reading((b"gAMA", struct.pack(">I", 100000)), (b"sRGB", b"\0")).notices == ()
    assert reading((b"gAMA", struct.pack(">I", 100000)), (b"prVt", b"")).notices == (
        "not carried over from PNG: gAMA, prVt",
    )
    assert reading((b"cICP", b"\x09\x10\0\1")).notices == ("not carried over from PNG: cICP",)


def test_a_profile_for_other_colours_is_not_put_into_a_png():
    chunks, notices = metadata_chunks(Attachments(icc=PROFILE), grey=True)

    assert chunks == []
    assert notices == ["the ICC profile is for RGB and does not fit the PNG: not carried over"]


@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_written_as_others_read_it(value):
    exif = Image.Exif()
    exif.load(orientation_exif(value))

    assert dict(exif) == {0x0112: value}
    assert orientation(orientation_exif(value)) == value


def test_orientation_of_little_endian_exif_is_read():
    assert orientation(b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\5\0\0\0\0\0\0\0") == 5


@pytest.mark.parametrize(
    "exif", [None, b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", orientation_exif(6)[:15], b"nothing", orientation_exif(9)]
)
def test_orientation_that_can_not_be_read_is_upright(exif):
    assert orientation(exif) == 1


def test_policies_leave_what_they_say():
    full = Attachments(icc=PROFILE, exif=orientation_exif(6) + b"more", xmp=b"x", comments=("c",), density=(1, 1))

    assert full.reduced(Metadata.KEEP) is full
    assert full.reduced(Metadata.COLOR) == Attachments(icc=PROFILE, exif=orientation_exif(6))
    assert full.reduced(Metadata.STRIP) == Attachments(
        exif=orientation_exif(6), notices=("the ICC profile (unnamed) was removed: colours will differ",)
    )
    assert Attachments(exif=orientation_exif(1)).reduced(Metadata.COLOR).exif is None
