"""PNM: PBM, PGM and PPM, plain (P1 to P3) and raw (P4 to P6), by the specifications of Netpbm."""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from compressor.containers import notes
from compressor.errors import CompressorError, FormatError, LimitError, UnsupportedError
from compressor.settings import Metadata
from compressor.spool import Readable
from compressor.window import WINDOW_BYTES, Window

TITLE = "PNM"
WHITESPACE = b" \t\n\v\f\r"
DIGITS = b"0123456789"
DIGITS_MAX = 10
SIDE_MAX = 1 << 31
MAXVAL_MAX = 65535
PICTURES_MAX = 10_000
HEADER_COMMENT_BYTES_MAX = 16 << 20
NUMBERS_A_LINE, BITS_A_LINE = 11, 64  # no line of a plain file should have more than 70 characters
PIECE_BYTES = 1 << 18

COMMENT, LINE_REST = re.compile(rb"#[^\r\n]*"), re.compile(rb"[^\r\n]*")
SPACES, COMMENT_START = re.compile(rb"[ \t\n\v\f\r]*"), ord("#")
LINE_END = re.compile(rb"[\r\n]")
BIT, NUMBER = re.compile(rb"[01]"), re.compile(rb"[0-9]+")


class Picture(NamedTuple):
    """A picture of a file.

    kind       the digit of its magic number
    maxval     of its samples; 1 in PBM
    start      where its raster begins
    commented  whether there are comments in its header
    """

    kind: int
    width: int
    height: int
    maxval: int
    start: int
    commented: bool

    @property
    def plain(self) -> bool:
        """Tell whether its samples are decimal numbers in ASCII."""
        return self.kind <= 3

    @property
    def samples(self) -> int:
        """Return how many samples it has."""
        return self.width * self.height * (3 if self.kind in (3, 6) else 1)

    @property
    def raw_bytes(self) -> int:
        """Return the size of its raster, if that is raw."""
        if self.kind == 4:
            return (self.width + 7) // 8 * self.height
        return self.samples * (2 if self.maxval > 255 else 1)


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file reduced to its pictures (see `containers`): comments go, and so does what follows the pictures."""
    window = Window(source.read, source.size)
    pictures = list(_pictures(window))
    end = pictures[-1][1]
    if _holds_more(window, end):
        notes.note_behind(source.size - end, notices)
    for picture, behind in pictures:
        yield _header(picture)
        if picture.plain:
            yield from (lines for lines, _ in _plain_raster(window, picture) if lines)
        else:
            for at in range(picture.start, behind, PIECE_BYTES):
                yield source.read(at, min(PIECE_BYTES, behind - at))


def uncarried(source: Readable) -> list[str]:
    """Name what has no field in `metadata.Attachments` (see `containers`)."""
    window, names = Window(source.read, source.size), list[str]()
    try:
        found = _pictures(window)
        first, end = next(found)
        if first.commented or (first.plain and _has_comments(window, first.start, end)):
            names.append("comments")
        if next(found, None) is not None:
            names.append("further pictures")
        elif _holds_more(window, end):
            names.append(notes.behind(source.size - end))
    except CompressorError:
        pass
    return names


def _holds_more(window: Window, end: int) -> bool:
    """Tell whether more than some whitespace follows the last picture."""
    return window.size - end > WINDOW_BYTES or bool(window.at(end, WINDOW_BYTES).strip(WHITESPACE))


def _pictures(window: Window) -> Iterator[tuple[Picture, int]]:
    """Yield the pictures, each with where its raster ends. What follows the last one is no picture."""
    at = 0
    for number in range(PICTURES_MAX + 1):
        try:
            picture = _picture(window, at)
            end = _raster_end(window, picture)
        except CompressorError:
            if number == 0:
                raise
            return
        yield picture, end
        if picture.plain or end == window.size:  # a plain file has one picture
            return
        at = end
    raise LimitError(f"{TITLE}: more than {PICTURES_MAX} pictures")


def _raster_end(window: Window, picture: Picture) -> int:
    end = picture.start + picture.raw_bytes
    if picture.plain:
        end = max(at for _, at in _plain_raster(window, picture))
    elif end > window.size:
        problem = f"{window.size - picture.start} bytes, {picture.raw_bytes} are needed"
        raise FormatError(TITLE, "raster", picture.start, problem)
    return end


def _picture(window: Window, start: int) -> Picture:
    magic = window.at(start, 2)
    if len(magic) < 2 or magic[:1] != b"P" or magic[1:] not in (b"1", b"2", b"3", b"4", b"5", b"6"):
        raise FormatError(TITLE, "magic number", start, "not the header of a PNM file")
    kind, at, commented = int(magic[1:]), start + 2, False
    numbers = []
    for name in ("width", "height") if kind in (1, 4) else ("width", "height", "maxval"):
        number_at = _behind_whitespace(window, at)
        commented |= b"#" in window.at(at, min(number_at - at, WINDOW_BYTES))
        if number_at == at:
            raise FormatError(TITLE, name, at, "no whitespace before it")
        number, at = _number(window, number_at, name)
        numbers.append(number)
    width, height, maxval = (*numbers, 1)[:3]
    if not 0 < width < SIDE_MAX or not 0 < height < SIDE_MAX or not 0 < maxval <= MAXVAL_MAX:
        raise FormatError(TITLE, "header", start, f"{width} x {height} pixels of 0 to {maxval}")
    return Picture(kind, width, height, maxval, at + 1, commented)


def _number(window: Window, at: int, name: str) -> tuple[int, int]:
    """Return a number of the header, and where the one whitespace character behind it is."""
    found = window.at(at, DIGITS_MAX + 1)
    digits = found[: len(found) - len(found.lstrip(DIGITS))]
    behind = found[len(digits) :][:1]
    if behind == b"#":
        raise UnsupportedError(f"{TITLE}: {name} with a comment right behind it, which readers take differently")
    if not digits or not behind or behind not in WHITESPACE:
        raise FormatError(TITLE, name, at, "not a number of at most ten digits with whitespace behind it")
    return int(digits), at + len(digits)


def _behind_whitespace(window: Window, at: int) -> int:
    """Return the offset of the next character that is neither whitespace nor in a comment."""
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
    blocks = (window.at(at, min(WINDOW_BYTES, end - at)) for at in range(start, end, WINDOW_BYTES))
    return any(b"#" in block for block in blocks)


def _header(picture: Picture) -> bytes:
    maxval = b"" if picture.kind in (1, 4) else b"%d\n" % picture.maxval
    return b"P%d\n%d %d\n" % (picture.kind, picture.width, picture.height) + maxval


def _plain_raster(window: Window, picture: Picture) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a plain raster without its comments, each time with how far the source has been read.

    Lines are broken by the number of samples alone, so that lines made from such lines are the same.
    """
    bits, left, at = picture.kind == 1, picture.samples, picture.start
    a_line = BITS_A_LINE if bits else NUMBERS_A_LINE
    values: list[int] = []
    divided = b""  # the first digits of a number that goes on in the next block
    for block in itertools.chain(_without_comments(window, at, bits), [b""]):
        text = divided + block
        divided = b"" if bits or not block else text[len(text.rstrip(DIGITS)) :]
        text = text[: len(text) - len(divided)]
        if len(divided) > DIGITS_MAX:
            raise FormatError(TITLE, "raster", at + len(text), f"a number of more than {DIGITS_MAX} digits")
        if left <= len(text):
            ends = [match.end() for match in itertools.islice((BIT if bits else NUMBER).finditer(text), left)]
            text = text[: ends[-1]] if len(ends) == left else text
        found = _values(text, at, picture)
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
    """Yield the source from an offset on with spaces in the place of comments, but for those right behind a number: to
    Netpbm they end the number, to others they do not.
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


def _values(text: bytes, at: int, picture: Picture) -> list[int]:
    """Return the samples in a part of a plain raster."""
    bits = picture.kind == 1
    if b"#" in text:
        raise UnsupportedError(f"{TITLE}: a comment right behind a number, behind byte {at}")
    if text.translate(None, (b"01" if bits else DIGITS) + WHITESPACE):
        raise FormatError(TITLE, "raster", at, "neither digits nor whitespace")
    if bits:
        return [bit - 48 for bit in text.translate(None, WHITESPACE)]
    numbers = text.split()
    if max(map(len, numbers), default=0) > DIGITS_MAX:
        raise FormatError(TITLE, "raster", at, f"a number of more than {DIGITS_MAX} digits")
    values = list(map(int, numbers))
    if max(values, default=0) > picture.maxval:
        raise FormatError(TITLE, "raster", at, f"{max(values)}, but maxval is {picture.maxval}")
    return values
