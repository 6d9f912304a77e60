"""Mutations of the marker segments of JPEG."""

import random

from tests.fuzz.blind import SIDES, Mutation, changed_order, noise, write


def segments(data: bytes) -> list[bytes]:
    """Split a file before each marker, except stuffed zeros, fill bytes and RSTn."""
    parts, start, at = [], 0, 2
    while at < len(data) - 1:
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD7:
            at += 1
            continue
        parts.append(data[start:at])
        start = at
        at += 2 if marker in (0xD8, 0xD9) else 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return [*parts, data[start:]]


def reorder_segments(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    return b"".join(changed_order(rng, segments(data), segments(rng.choice(seeds))))


def join_files(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    """Join the first segments of one file to the last segments of another."""
    mine, others = segments(data), segments(rng.choice(seeds))
    return b"".join(mine[: rng.randrange(len(mine) + 1)] + others[rng.randrange(len(others)) :])


def _of_kind(rng: random.Random, parts: list[bytes], markers: tuple[int, ...]) -> int | None:
    places = [n for n, part in enumerate(parts) if len(part) > 4 and part[0] == 0xFF and part[1] in markers]
    return rng.choice(places) if places else None


def change_frame(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    parts = segments(data)
    n = _of_kind(rng, parts, (0xC0, 0xC1, 0xC2))
    if n is None:
        return data
    part = parts[n]
    component = 10 + 3 * rng.randrange(max(1, part[9] if len(part) > 9 else 1))
    factors = rng.choice((0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x44, 0x31, 0x13, 0x00, 0x15, 0x24, 0x42, 0x33))
    at, value = rng.choice(
        (
            (1, bytes([rng.choice((*range(0xC0, 0xD0), 0xDE))])),
            (4, bytes([rng.choice((0, 2, 7, 8, 9, 12, 16, 255))])),
            (5, rng.choice(SIDES).to_bytes(2, "big")),
            (7, rng.choice(SIDES).to_bytes(2, "big")),
            (9, bytes([rng.choice((0, 1, 2, 3, 4, 5, 255))])),
            (component, bytes([rng.choice((0, 1, 2, 3, 255))])),
            (component + 1, bytes([factors])),
            (component + 2, bytes([rng.choice((0, 1, 2, 3, 4, 255))])),
        )
    )
    parts[n] = write(part, at, value)
    return b"".join(parts)


def change_scan(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    parts = segments(data)
    n = _of_kind(rng, parts, (0xDA,))
    if n is None:
        return data
    part = parts[n]
    count = part[4]
    component, last = 5 + 2 * rng.randrange(max(1, count)), 5 + 2 * count
    bands, bits = (0, 1, 2, 5, 62, 63, 64, 255), (0x00, 0x01, 0x10, 0x21, 0x0D, 0xDC, 0x0E, 0xED, 0xF0, 0xFF, 0x32)
    at, value = rng.choice(
        (
            (4, rng.choice((0, 1, 2, 3, 4, 5, 255))),
            (component, rng.choice((0, 1, 2, 3, 4, 255))),
            (component + 1, rng.choice((0x00, 0x01, 0x10, 0x11, 0x22, 0x33, 0x44, 0xFF))),
            (last, rng.choice(bands)),
            (last + 1, rng.choice(bands)),
            (last + 2, rng.choice(bits)),
        )
    )
    parts[n] = write(part, at, bytes([value]))
    return b"".join(parts)


def change_tables(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Change classes, counts, values or lengths of DHT, DQT, DRI, DAC, APPn and COM."""
    parts = segments(data)
    n = _of_kind(rng, parts, (0xC4, 0xDB, 0xDD, 0xCC, *range(0xE0, 0xF0), 0xFE))
    if n is None:
        return data
    part = parts[n]
    match rng.randrange(4):
        case 0:
            parts[n] = write(part, 2, rng.choice((0, 1, 2, 3, 17, len(part) - 3, len(part), 65535)).to_bytes(2, "big"))
        case 1:
            parts[n] = write(part, 4, bytes([rng.choice((0x00, 0x01, 0x03, 0x04, 0x0F, 0x10, 0x11, 0x13, 0x20, 0xFF))]))
        case 2:
            place = rng.randrange(4, min(len(part), 24))
            parts[n] = write(part, place, bytes([rng.choice((0, 1, 2, 3, 16, 255, (part[place] + 1) & 255))]))
        case 3:
            parts[n] = write(part, rng.randrange(4, len(part)), bytes([rng.randrange(256)]))
    return b"".join(parts)


def change_scan_data(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Change bytes of the entropy-coded data, or insert a marker."""
    parts = segments(data)
    n = _of_kind(rng, parts, (0xDA,))
    if n is None:
        return data
    part = parts[n]
    at = rng.randrange(min(len(part) - 1, 2 + int.from_bytes(part[2:4], "big")), len(part))
    if rng.random() < 0.4:
        marker = rng.choice((0xD0, 0xD1, 0xD7, 0xD9, 0x00, 0xFF, 0x01, 0xDC, 0xE0))
        parts[n] = part[:at] + bytes([0xFF, marker]) * rng.choice((1, 1, 2, 300)) + part[at + rng.randrange(3) :]
    else:
        parts[n] = write(part, at, noise(rng, rng.choice((1, 2, 5))))
    return b"".join(parts)


def add_segment(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    parts = segments(data)
    known = (b"JFIF\0\1\1", b"Exif\0\0MM\0*", b"ICC_PROFILE\0\1\1", b"MPF\0II*\0\x08\0\0\0", b"Adobe\0d\0\0\0\0\2", b"")
    marker = rng.choice((0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDD, 0xDC, 0xCC, 0xDE, 0xDF, 0xF7))
    content = rng.choice(known) + noise(rng, rng.choice((0, 2, 12, 60)))
    made = bytes([0xFF, marker]) + (2 + len(content)).to_bytes(2, "big") + content
    parts.insert(rng.randrange(1, len(parts) + 1), made)
    return b"".join(parts)


JPEG: tuple[Mutation, ...] = (
    reorder_segments, reorder_segments, join_files, change_frame, change_frame, change_scan, change_scan,
    change_tables, change_tables, change_scan_data, change_scan_data, add_segment,
)  # fmt: skip
