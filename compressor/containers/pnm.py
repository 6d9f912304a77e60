"""PNM: PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6), as specified by Netpbm."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from compressor.containers import notes
from compressor.containers.container import Container
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.humanize import human_format
from compressor.settings import Metadata
from compressor.window import WINDOW_BYTES, Window

TITLE = human_format("pnm")
WHITESPACE = b" \t\n\v\f\r"
DIGITS = b"0123456789"
DIGITS_MAX = 10
SIDE_MAX = 1 << 31
MAXVAL_MAX = 65535
IMAGES_MAX = 10_000
HEADER_COMMENT_BYTES_MAX = 16 << 20
NUMBERS_A_LINE, BITS_A_LINE = 11, 64  # lines of a plain file should have at most 70 characters
PIECE_BYTES = 1 << 18

COMMENT, LINE_REST = re.compile(rb"#[^\r\n]*"), re.compile(rb"[^\r\n]*")
SPACES, COMMENT_START = re.compile(rb"[ \t\n\v\f\r]*"), ord("#")
LINE_END = re.compile(rb"[\r\n]")
BIT, NUMBER = re.compile(rb"[01]"), re.compile(rb"[0-9]+")


class PnmImage(NamedTuple):
    """An image of a file.

    kind       digit of the magic number
    maxval     largest sample value; 1 in PBM
    start      offset of the raster
    commented  whether the header has comments
    """

    kind: int
    width: int
    height: int
    maxval: int
    start: int
    commented: bool

    @property
    def plain(self) -> bool:
        """Return whether samples are decimal numbers in ASCII."""
        return self.kind <= 3

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return self.width * self.height * (3 if self.kind in (3, 6) else 1)

    @property
    def raw_bytes(self) -> int:
        """Return the bytes of a raw raster."""
        if self.kind == 4:
            return (self.width + 7) // 8 * self.height
        return self.samples * (2 if self.maxval > 255 else 1)


class PnmContainer(Container):
    """A PNM file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield the images without comments and without the bytes after them."""
        window = Window(self._source.read, self._source.size)
        images = list(_images(window))
        end = images[-1][1]
        if _holds_more(window, end):
            notes.note_trailing_bytes(self._source.size - end, notices)
        for image, end in images:
            yield _header(image)
            if image.plain:
                yield from (lines for lines, _ in _plain_raster(window, image) if lines)
            else:
                for at in range(image.start, end, PIECE_BYTES):
                    yield self._source.read(at, min(PIECE_BYTES, end - at))

    def unmapped_metadata(self) -> list[str]:
        window, names = Window(self._source.read, self._source.size), list[str]()
        try:
            found = _images(window)
            first, end = next(found)
            if first.commented or (first.plain and _has_comments(window, first.start, end)):
                names.append("comments")
            if next(found, None) is not None:
                names.append("additional images")
            elif _holds_more(window, end):
                names.append(notes.trailing_bytes(self._source.size - end))
        except CompressorError:
            pass
        return names


def _holds_more(window: Window, end: int) -> bool:
    """Return whether more than some whitespace follows the last image."""
    return window.size - end > WINDOW_BYTES or bool(window.read(end, WINDOW_BYTES).strip(WHITESPACE))


def _images(window: Window) -> Iterator[tuple[PnmImage, int]]:
    """Yield each image with the end offset of its raster, up to the first bytes that are not an image."""
    at = 0
    for number in range(IMAGES_MAX + 1):
        try:
            image = _image(window, at)
            end = _raster_end(window, image)
        except CompressorError:
            if number == 0:
                raise
            return
        yield image, end
        if image.plain or end == window.size:  # a plain file has one image
            return
        at = end
    raise LimitError(f"{TITLE}: more than {IMAGES_MAX} images")


def _raster_end(window: Window, image: PnmImage) -> int:
    end = image.start + image.raw_bytes
    if image.plain:
        end = max(at for _, at in _plain_raster(window, image))
    elif end > window.size:
        problem = f"{window.size - image.start} bytes, {image.raw_bytes} are needed"
        raise FormatError(TITLE, "raster", image.start, problem)
    return end


def _image(window: Window, start: int) -> PnmImage:
    magic = window.read(start, 2)
    if len(magic) < 2 or magic[:1] != b"P" or magic[1:] not in (b"1", b"2", b"3", b"4", b"5", b"6"):
        raise FormatError(TITLE, "magic number", start, "not the header of a PNM file")
    kind, at, commented = int(magic[1:]), start + 2, False
    numbers = []
    for name in ("width", "height") if kind in (1, 4) else ("width", "height", "maxval"):
        number_at = _whitespace_end(window, at)
        commented |= b"#" in window.read(at, min(number_at - at, WINDOW_BYTES))
        if number_at == at:
            raise FormatError(TITLE, name, at, "no whitespace before it")
        number, at = _number(window, number_at, name)
        numbers.append(number)
    width, height, maxval = (*numbers, 1)[:3]
    if not 0 < width < SIDE_MAX or not 0 < height < SIDE_MAX or not 0 < maxval <= MAXVAL_MAX:
        raise FormatError(TITLE, "header", start, f"{width} x {height} pixels of 0 to {maxval}")
    return PnmImage(kind, width, height, maxval, at + 1, commented)


def _number(window: Window, at: int, name: str) -> tuple[int, int]:
    """Return a number of the header and the offset of the whitespace character after it."""
    found = window.read(at, DIGITS_MAX + 1)
    digits = found[: len(found) - len(found.lstrip(DIGITS))]
    separator = found[len(digits) :][:1]
    if separator == b"#":
        raise UnsupportedError(f"{TITLE}: {name} with a comment right after it, which readers interpret differently")
    if not digits or not separator or separator not in WHITESPACE:
        raise FormatError(TITLE, name, at, "not a number of at most ten digits followed by whitespace")
    return int(digits), at + len(digits)


def _whitespace_end(window: Window, at: int) -> int:
    """Return the offset of the next character outside whitespace and comments."""
    start, within = at, False
    while at < window.size:
        held, index = window.buffer(at)
        if at - start > HEADER_COMMENT_BYTES_MAX:
            raise LimitError(f"{TITLE}: comments of more than {HEADER_COMMENT_BYTES_MAX >> 20} MiB")
        skipped = (LINE_REST if within else SPACES).match(held, index)
        end = skipped.end() if skipped else index
        at += end - index
        if end < len(held):
            if not within and held[end] != COMMENT_START:
                return at
            within = not within
    return at


def _has_comments(window: Window, start: int, end: int) -> bool:
    blocks = (window.read(at, min(WINDOW_BYTES, end - at)) for at in range(start, end, WINDOW_BYTES))
    return any(b"#" in block for block in blocks)


def _header(image: PnmImage) -> bytes:
    maxval = b"" if image.kind in (1, 4) else b"%d\n" % image.maxval
    return b"P%d\n%d %d\n" % (image.kind, image.width, image.height) + maxval


def _plain_raster(window: Window, image: PnmImage) -> Iterator[tuple[bytes, int]]:
    """Yield lines of a plain raster without its comments, each time with the offset up to which the source was read.

    Lines are broken by the number of samples alone, so that a second run yields the same lines.
    """
    bits, left, at = image.kind == 1, image.samples, image.start
    a_line = BITS_A_LINE if bits else NUMBERS_A_LINE
    values: list[int] = []
    divided = b""  # the first digits of a number that continues in the next block
    for block in itertools.chain(_without_comments(window, at, bits), [b""]):
        text = divided + block
        divided = b"" if bits or not block else text[len(text.rstrip(DIGITS)) :]
        text = text[: len(text) - len(divided)]
        if len(divided) > DIGITS_MAX:
            raise FormatError(TITLE, "raster", at + len(text), f"a number of more than {DIGITS_MAX} digits")
        if left <= len(text):
            ends = [match.end() for match in itertools.islice((BIT if bits else NUMBER).finditer(text), left)]
            text = text[: ends[-1]] if len(ends) == left else text
        found = _values(text, at, image)
        values += found
        left -= len(found)
        at += len(text)
        whole = len(values) - len(values) % a_line if left else len(values)
        lines = [values[start : start + a_line] for start in range(0, whole, a_line)]
        values = values[whole:]
        space = b"" if bits else b" "
        yield b"".join(space.join([b"%d" % value for value in line]) + b"\n" for line in lines), at
        if not left:
            return
    raise FormatError(TITLE, "raster", window.size, f"the file ends {left} samples early")


def _without_comments(window: Window, at: int, bits: bool) -> Iterator[bytes]:
    """Yield the source from an offset with comments replaced by spaces, except those right after a number: Netpbm lets
    them end the number, other readers do not.
    """
    within, before = False, b" "

    def spaces(comment: re.Match[bytes]) -> bytes:
        glued = not bits and shifted[comment.start()] in DIGITS
        return comment[0] if glued else b" " * len(comment[0])

    while at < window.size:
        buffer, index = window.buffer(at)
        held = buffer[index:]
        at += len(held)
        if within:
            rest = LINE_REST.match(held)
            end = rest.end() if rest else 0
            held = b" " * end + held[end:]
            within = end == len(held)
        shifted = before + held
        last = held.rfind(b"#")
        within |= last >= 0 and not LINE_END.search(held, last)
        held = COMMENT.sub(spaces, held)
        before = held[-1:]
        yield held


def _values(text: bytes, at: int, image: PnmImage) -> list[int]:
    """Return the samples in part of a plain raster."""
    bits = image.kind == 1
    if b"#" in text:
        raise UnsupportedError(f"{TITLE}: a comment right after a number, after byte {at}")
    if text.translate(None, (b"01" if bits else DIGITS) + WHITESPACE):
        raise FormatError(TITLE, "raster", at, "neither digits nor whitespace")
    if bits:
        return [bit - 48 for bit in text.translate(None, WHITESPACE)]
    numbers = text.split()
    if max(map(len, numbers), default=0) > DIGITS_MAX:
        raise FormatError(TITLE, "raster", at, f"a number of more than {DIGITS_MAX} digits")
    values = list(map(int, numbers))
    if max(values, default=0) > image.maxval:
        raise FormatError(TITLE, "raster", at, f"{max(values)}, but maxval is {image.maxval}")
    return values
