"""Mutations that ignore the format, and helpers for those that do not."""

import random
from collections.abc import Callable

# Bytes at the limits of fields, or with a meaning to a reader.
SIGNIFICANT = (0x00, 0x01, 0x02, 0x03, 0x07, 0x08, 0x0F, 0x10, 0x11, 0x3F, 0x40, 0x7F, 0x80, 0xC4, 0xD0, 0xD8, 0xD9,
               0xDA, 0xDB, 0xDD, 0xF0, 0xFE, 0xFF)  # fmt: skip
SIDES = (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 255, 256, 4095, 65499, 65500, 65535)
LONG = (0, 1, 5, 255, 65535, 1 << 16, 999_999, 1_000_000, 1_000_001, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
Mutation = Callable[[random.Random, bytes, tuple[bytes, ...]], bytes]


def flip_bits(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    damaged = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def set_bytes(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    damaged = bytearray(data or b"\0")
    at = rng.randrange(len(damaged))
    for n in range(at, min(len(damaged), at + rng.choice((1, 1, 1, 2, 4, 16)))):
        damaged[n] = rng.choice(SIGNIFICANT) if rng.random() < 0.7 else rng.randrange(256)
    return bytes(damaged)


def truncate(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + noise(rng, rng.choice((1, 1, 2, 7, 100))) + data[at:]


def cut_out(rng: random.Random, data: bytes, _: tuple[bytes, ...]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 1, 2, 7, 100)) :]


def splice(rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    """Join the beginning of one file to the end of another."""
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other)) :]


def noise(rng: random.Random, count: int) -> bytes:
    return bytes(rng.choice(SIGNIFICANT) if rng.random() < 0.5 else rng.randrange(256) for _ in range(count))


def changed_order(rng: random.Random, parts: list[bytes], others: list[bytes]) -> list[bytes]:
    """Duplicate, delete, swap or replace a part."""
    one, two = rng.randrange(len(parts)), rng.randrange(len(parts))
    match rng.randrange(6):
        case 0:
            parts.insert(two, parts[one])
        case 1:
            del parts[one]
        case 2:
            parts[one], parts[two] = parts[two], parts[one]
        case 3:
            parts[one] = rng.choice(others)
        case 4:
            parts.insert(one, rng.choice(others))
        case 5:
            parts[one:one] = [parts[two]] * rng.choice((3, 20, 120))
    return parts


def write(part: bytes, at: int, value: bytes) -> bytes:
    return part[:at] + value + part[at + len(value) :]


BLIND: tuple[Mutation, ...] = (flip_bits, flip_bits, set_bytes, set_bytes, truncate, insert, cut_out, splice)
