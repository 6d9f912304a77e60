"""Mutations of the chunks of PNG, most of which repair the CRC."""

import random
import zlib

from tests.fuzz.blind import BLIND, LONG, SIDES, Mutation, changed_order, noise, write

SIGNATURE_BYTES = 8


def chunks(data: bytes) -> list[bytes]:
    """Split a file into its signature and chunks; bytes that are not a chunk remain at the end of the last."""
    parts, at = [data[:SIGNATURE_BYTES]], SIGNATURE_BYTES
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at:end])
        at = end
    return [*parts, data[at:]] if at < len(data) else parts


def repaired(part: bytes) -> bytes:
    """Return a chunk with the length and CRC of its data."""
    kind, content = part[4:8], part[8:-4]
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _repaired_mostly(rng: random.Random, part: bytes) -> bytes:
    return repaired(part) if len(part) >= 12 and rng.random() < 0.9 else part


def _of_type(rng: random.Random, parts: list[bytes], types: tuple[bytes, ...] = ()) -> int | None:
    places = [n for n, part in enumerate(parts) if n and len(part) >= 12 and (not types or part[4:8] in types)]
    return rng.choice(places) if places else None


def reorder_chunks(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    return b"".join(changed_order(rng, chunks(data), chunks(rng.choice(seeds))))


def join_chunks(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    mine, others = chunks(data), chunks(rng.choice(seeds))
    return b"".join(mine[: rng.randrange(len(mine) + 1)] + others[rng.randrange(len(others)) :])


def change_header(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    parts = chunks(data)
    n = _of_type(rng, parts, (b"IHDR",))
    if n is None or len(parts[n]) < 25:
        return data
    sides = (*SIDES, *LONG)
    at, value = rng.choice(
        (
            (8, rng.choice(sides).to_bytes(4, "big")),
            (12, rng.choice(sides).to_bytes(4, "big")),
            (16, bytes([rng.choice((0, 1, 2, 3, 4, 8, 16, 32, 255))])),
            (17, bytes([rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 255))])),
            (16, bytes([rng.choice((1, 2, 4, 8, 16)), rng.choice((0, 2, 3, 4, 6))])),
            (18, bytes([rng.choice((1, 255))])),
            (19, bytes([rng.choice((1, 64, 255))])),
            (20, bytes([rng.choice((0, 1, 2, 255))])),
        )
    )
    parts[n] = _repaired_mostly(rng, write(parts[n], at, value))
    return b"".join(parts)


def change_chunk(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Change bytes, length or type of any chunk."""
    parts = chunks(data)
    n = _of_type(rng, parts)
    if n is None:
        return data
    part = parts[n]
    match rng.randrange(5):
        case 0:
            part = write(part, 8 + rng.randrange(max(1, len(part) - 12)), bytes([rng.randrange(256)]))
        case 1:
            at = rng.randrange(8, len(part) - 3)
            part = part[:at] + noise(rng, rng.choice((1, 3, 40))) + part[at:]
        case 2:
            at = rng.randrange(8, len(part) - 3)
            part = part[:at] + part[min(len(part) - 4, at + rng.choice((1, 3, 40))) :]
        case 3:
            known = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"acTL", b"fdAT")
            part = write(part, 4, rng.choice((*known, b"CRIT", b"anci", b"a\0b\xff", b"eXIf", b"pHYs", b"gAMA")))
        case 4:
            parts[n] = write(part, 0, rng.choice(LONG).to_bytes(4, "big"))
            return b"".join(parts)
    parts[n] = _repaired_mostly(rng, part)
    return b"".join(parts)


def add_chunk(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    parts = chunks(data)
    text = zlib.compress(bytes(rng.choice((0, 10, 5000))), 1) if rng.random() < 0.5 else noise(rng, 20)
    kind, content = rng.choice(
        (
            (b"PLTE", bytes(rng.choice((0, 1, 3, 6, 48, 768, 771)))),
            (b"tRNS", noise(rng, rng.choice((0, 1, 2, 6, 17, 256, 257)))),
            (b"zTXt", b"key\0\0" + text),
            (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + text),
            (b"iCCP", b"name\0\0" + text),
            (b"eXIf", rng.choice((b"MM\0*", b"II*\0")) + noise(rng, 30)),
            (b"tEXt", noise(rng, rng.choice((0, 1, 90)))),
            (b"pHYs", noise(rng, rng.choice((0, 9)))),
            (b"acTL", noise(rng, 8)),
            (b"IDAT", noise(rng, rng.choice((0, 1, 30)))),
        )
    )
    parts.insert(rng.randrange(1, len(parts) + 1), repaired(bytes(4) + kind + content + bytes(4)))
    return b"".join(parts)


def change_image_data(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    """Damage the scanlines and deflate them again, or damage, truncate or extend the zlib stream."""
    parts = chunks(data)
    places = [n for n, part in enumerate(parts) if len(part) >= 12 and part[4:8] == b"IDAT"]
    if not places:
        return data
    stream = b"".join(parts[n][8:-4] for n in places)
    try:
        image = zlib.decompressobj().decompress(stream, 1 << 16)
    except zlib.error:
        image = b"\0"
    blind = rng.choice(BLIND[:-1])
    if rng.random() < 0.6:
        if rng.random() < 0.5:
            image = blind(rng, image, ())
        else:  # filter types, any of them anywhere
            image = bytes(rng.randrange(6) if rng.random() < 0.1 else byte for byte in image)
        stream = zlib.compress(image, rng.choice((0, 1, 9)))
    else:
        stream = blind(rng, stream, ())
    size = rng.choice((1 << 20, 1 << 20, 1, 7, 100))
    made = [repaired(bytes(4) + b"IDAT" + stream[at : at + size] + bytes(4)) for at in range(0, len(stream), size)]
    kept = [part for n, part in enumerate(parts) if n not in places]
    kept[places[0] : places[0]] = made
    return b"".join(kept)


PNG: tuple[Mutation, ...] = (
    reorder_chunks, join_chunks, change_header, change_header, change_chunk, change_chunk, add_chunk,
    change_image_data, change_image_data, change_image_data,
)  # fmt: skip
