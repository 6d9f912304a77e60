"""Pixels of a PNG as (red, green, blue, alpha) of 16 bits, from samples read bit by bit (W3C PNG 7.2, 13.12)."""

from collections.abc import Iterable, Sequence

from tests.reference.pngfilter import samples

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

Pixel = tuple[int, ...]


def pixels(
    rows: Iterable[Iterable[int]],
    width: int,
    depth: int,
    color: int,
    palette: bytes = b"",
    transparency: bytes | None = None,
) -> list[list[Pixel]]:
    """Return a list of tuples for each row. A palette index without an entry is opaque black."""
    most = 2**depth - 1
    result: list[list[Pixel]] = []
    for row in rows:
        values = samples(row, depth, width * CHANNELS[color])
        line: list[Pixel] = []
        for i in range(width):
            pixel = values[i * CHANNELS[color] : (i + 1) * CHANNELS[color]]
            if color == 3:
                entry = tuple(palette[3 * pixel[0] : 3 * pixel[0] + 3]) or (0, 0, 0)
                opacity = (transparency or b"")[pixel[0] : pixel[0] + 1] or b"\xff"
                line.append(tuple(257 * value for value in (*entry, opacity[0])))
                continue
            wide = [65535 * value // most for value in pixel]
            alpha = wide.pop() if color in (4, 6) else 65535
            if transparency is not None:
                key = [int.from_bytes(transparency[k : k + 2], "big") & most for k in range(0, len(transparency), 2)]
                alpha = 0 if key == pixel else alpha
            line.append((*(wide * 3 if len(wide) == 1 else wide), alpha))
        result.append(line)
    return result


def word(pixel: Pixel) -> int:
    """Pack a pixel into one word, red lowest."""
    return sum(sample << (16 * k) for k, sample in enumerate(pixel))


def needs(lines: Sequence[Sequence[Pixel]]) -> set[str]:
    """Return the names of the features that a form must have."""
    every = [pixel for line in lines for pixel in line]
    found = set()
    if any(sample >> 8 != sample & 255 for pixel in every for sample in pixel):
        found.add("deep")
    if any(len(set(pixel[:3])) > 1 for pixel in every):
        found.add("colored")
    if any(pixel[3] != 65535 for pixel in every):
        found.add("translucent")
    for bits in (1, 2, 4):
        steps = {255 * value // (2**bits - 1) for value in range(2**bits)}
        if any(pixel[0] & 255 not in steps for pixel in every):
            found.add(f"bits{bits}")
    return found
