"""Metadata that Pillow does not read: comments, XMP and profiles of GIF, color spaces of BMP."""

import io
from typing import IO

from compressor.errors import CompressorError
from compressor.metadata import Attachments
from compressor.parsers import bmp, gif
from compressor.window import Window

BYTES_MAX = 16 << 20  # of all metadata of a file
COMMENTS_MAX = 1000


def window_of(file: IO[bytes]) -> Window:
    """Return a window into an open file, whose position is restored after each access."""
    before = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(before)

    def read(start: int, count: int) -> bytes:
        before = file.tell()
        file.seek(start)
        data = file.read(count)
        file.seek(before)
        return data

    return Window(read, size)


def gif_attachments(file: IO[bytes]) -> Attachments:
    """Return the comments, XMP and ICC profile of a GIF file, also those after its first image.

    A notice says if there is more than BYTES_MAX; the first blocks take precedence.
    """
    window, left = window_of(file), BYTES_MAX
    comments: list[str] = []
    found: dict[bytes, bytes] = {}
    notices: list[str] = []
    try:
        for block in gif.blocks(window):
            is_comment, is_known = block.label == gif.COMMENT, block.name in (gif.XMP, gif.ICC)
            if not is_comment and (not is_known or block.name in found):
                continue
            if block.end - block.data > left or len(comments) >= COMMENTS_MAX:
                notices.append(f"metadata above {BYTES_MAX >> 20} MiB or {COMMENTS_MAX} comments was dropped")
                break
            left -= block.end - block.data
            if is_comment:
                comments.append(text(gif.sub_block_data(window, block, BYTES_MAX)))
            elif block.name == gif.XMP:
                found[gif.XMP] = gif.xmp(window, block, BYTES_MAX)
            else:
                found[gif.ICC] = gif.sub_block_data(window, block, BYTES_MAX)
    except CompressorError:
        pass  # damage after the first image, or the decoder reports it
    return Attachments(
        icc=found.get(gif.ICC) or None,
        xmp=found.get(gif.XMP) or None,
        comments=tuple(comment for comment in comments if comment),
        notices=tuple(notices),
    )


def bmp_profile(file: IO[bytes]) -> tuple[bytes | None, list[str]]:
    """Return the ICC profile of a BMP file, and notices of color spaces that can't be carried over."""
    window = window_of(file)
    try:
        header = bmp.read_header(window)
    except CompressorError:
        return None, []  # of a kind that the decoder may support
    notices = []
    profile = bmp.embedded_profile(window, header)
    if header.space == bmp.EMBEDDED and not profile:
        notices.append("the ICC profile is outside the file or too large: not carried over")
    if linked := bmp.linked_profile(window, header):
        notices.append(f"the ICC profile is in another file ({linked}): not carried over, colors may differ")
    if bmp.is_calibrated(header):
        notices.append("the color space (calibrated RGB) is not carried over: colors will differ")
    return profile or None, notices


def text(comment: object) -> str:
    """Return a comment, whose encoding no format specifies, decoded as UTF-8 if possible, else as Latin-1."""
    if not isinstance(comment, bytes):
        return str(comment or "")
    try:
        return comment.decode()
    except UnicodeDecodeError:
        return comment.decode("latin-1")
