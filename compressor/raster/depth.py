"""Detection of samples with more than 8 bits, which Pillow's mode does not show."""

from collections.abc import Iterator
from typing import IO

from PIL import ImageFile

PIECE_BYTES = 1 << 16
AV1_CONFIGURATION = b"av1C"  # AV1 in ISOBMFF 2.3.3
HIGH_BITDEPTH = 0x40  # in its third byte
SOC_SIZ = b"\xff\x4f\xff\x51"  # of a JPEG 2000 codestream (T.800 A.5.1)
CSIZ, SSIZ = 40, 42  # offsets from there: number of components, and three bytes for each
SSIZ_DEPTH = 0x7F  # minus one


def is_deep(image: ImageFile.ImageFile, format: str) -> bool:
    """Return whether samples have more than 8 bits. format: as `sniff` names it."""
    if format == "avif":
        return any(
            len(found) > 6 and found[6] & HIGH_BITDEPTH for found in _occurrences(image.fp, AV1_CONFIGURATION, 7)
        )
    if format == "jp2":
        for found in _occurrences(image.fp, SOC_SIZ, PIECE_BYTES):
            sizes = found[SSIZ::3][: int.from_bytes(found[CSIZ : CSIZ + 2], "big")]
            return any((size & SSIZ_DEPTH) >= 8 for size in sizes)
        return False
    if format == "bmp":  # BGR;16 has five or six bits a sample
        return False
    for tile in image.tile:
        arguments = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if any(isinstance(word, str) and ";16" in word for word in arguments):
            return True
        if format == "pnm" and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return True
    return False


def _occurrences(file: IO[bytes] | None, signature: bytes, count: int) -> Iterator[bytes]:
    """Yield `count` bytes from each occurrence of a signature in the file, fewer at its end."""
    start = 0
    while file is not None:
        file.seek(start)
        piece = file.read(PIECE_BYTES + count)
        at = piece.find(signature, 0, PIECE_BYTES + len(signature) - 1)
        while at >= 0:
            yield piece[at : at + count]
            at = piece.find(signature, at + 1, PIECE_BYTES + len(signature) - 1)
        start += PIECE_BYTES
        if len(piece) < PIECE_BYTES + count:
            return
