"""PNM files with marks in comments and after the raster."""

from tests.planted import Planted, mark

WIDTH, HEIGHT = 30, 24


def raw(kind: int, maxval: int) -> bytes:
    """Return a raw raster."""
    if kind == 4:
        return bytes((x * 37 + y) % 256 for y in range(HEIGHT) for x in range((WIDTH + 7) // 8))
    samples = WIDTH * HEIGHT * (3 if kind == 6 else 1)
    return b"".join((i * 7 % (maxval + 1)).to_bytes(2 if maxval > 255 else 1, "big") for i in range(samples))


def header(kind: int, maxval: int, first: bytes = b"", second: bytes = b"") -> bytes:
    """Build a header with two comments."""
    comments = [b"# " + text + b"\n" if text else b"" for text in (first, second)]
    end = b"" if kind in (1, 4) else b" %d" % maxval
    return b"P%d\n" % kind + comments[0] + b"%d %s %d" % (WIDTH, b"\n" + comments[1], HEIGHT) + end + b"\n"


def raw_file(kind: int, maxval: int = 255) -> Planted:
    """Build a raw file with comments and bytes after it."""
    name = f"pnm-p{kind}{'-16-bit' if maxval > 255 else ''}"
    places = ("first comment", "second comment", "after the raster")
    marks = {place: mark(f"{name} {place}") for place in places}
    start = header(kind, maxval, marks["first comment"], marks["second comment"])
    return Planted(name, "pnm", start + raw(kind, maxval) + marks["after the raster"], marks)


def plain_file(kind: int, maxval: int = 255) -> Planted:
    """Build a plain file with a comment within its raster."""
    name = f"pnm-p{kind}"
    places = ("first comment", "second comment", "in the raster", "after the raster")
    marks = {place: mark(f"{name} {place}") for place in places}
    samples = WIDTH * HEIGHT * (3 if kind == 3 else 1)
    numbers = [b"%d" % (i * 7 % ((1 if kind == 1 else maxval) + 1)) for i in range(samples)]
    space = b"" if kind == 1 else b" "
    raster = space.join(numbers[:40]) + b" # " + marks["in the raster"] + b"\n" + b"\n".join(numbers[40:])
    data = header(kind, maxval, marks["first comment"], marks["second comment"]) + raster
    after = b" # " if kind == 1 else b"\n"  # Pillow looks further than the last bit
    return Planted(name, "pnm", data + after + marks["after the raster"] + b"\n", marks)


def several() -> Planted:
    """Build a file of two pictures, each with a comment."""
    marks = {place: mark(f"pnm several {place}") for place in ("first comment", "comment of the second picture", "end")}
    second = header(5, 255, marks["comment of the second picture"]) + raw(5, 255)
    return Planted(
        "pnm-several", "pnm", header(6, 255, marks["first comment"]) + raw(6, 255) + second + marks["end"], marks
    )


def files() -> list[Planted]:
    """Return all of them."""
    return [
        plain_file(1), plain_file(2), plain_file(3),
        raw_file(4), raw_file(5), raw_file(6), raw_file(5, 65535),
        several(),
    ]  # fmt: skip
