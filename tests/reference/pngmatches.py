"""The filter type for each PNG scanline by an estimate of what deflate makes of it, byte by byte.

`filtered` holds all filtered bytes of the image so far. A row is parsed greedily into literals and matches; the type
whose row takes the fewest bits is taken.
"""

from collections.abc import Sequence

from tests.reference.pngfilter import filter_row


def log2_in_16ths(x: int) -> int:
    """Return 16 log2(x), linear between powers of two and rounded down."""
    n = x.bit_length() - 1
    return 16 * n + (16 * x) // (1 << n) - 16


def literal_costs(weights: Sequence[int]) -> list[int]:
    """Return the cost of each byte as a literal, in 1/16 bit."""
    least = [max(weight, 4) for weight in weights]
    return [log2_in_16ths(sum(least)) - log2_in_16ths(weight) for weight in least]


def hash_of(four: bytes) -> int:
    """Return the hash of four bytes: the upper 12 bits of 32."""
    return (int.from_bytes(four, "little") * 2654435761) % 2**32 >> 20


def match_length(data: bytes, before: int, at: int) -> int:
    """Return how many bytes are equal, at most 258; a match may overlap itself."""
    n = 0
    while n < 258 and at + n < len(data) and data[before + n] == data[at + n]:
        n += 1
    return n


def cost(filtered: bytes, row: bytes, places: dict[int, int], bpp: int, costs: Sequence[int]) -> int:
    """Return what a row costs after those that are filtered, in 1/16 bit."""
    data = filtered + row
    total, at = 0, len(filtered)
    while at < len(data):
        if at + 4 <= len(data):
            distances = [1, bpp, len(row)]
            hashed = places.get(hash_of(data[at : at + 4]))
            if hashed is not None:
                distances.insert(0, at - hashed)
            lengths = [
                match_length(data, at - distance, at) if distance <= min(at, 32768) else 0 for distance in distances
            ]
            length = max(lengths)
            distance = distances[lengths.index(length)]
            if length >= 4:
                extra = max(0, (distance - 1).bit_length() - 2) + max(0, (length - 3).bit_length() - 3)
                if sum(costs[byte] for byte in data[at : at + length]) > 16 * (10 + extra):
                    total += 16 * (10 + extra)
                    at += length
                    continue
        total += costs[data[at]]
        at += 1
    return total


def filtered_by_matches(rows: Sequence[Sequence[int]], bpp: int) -> bytes:
    """Return the filtered scanlines of an image, each after its filter type."""
    filtered = b""
    places: dict[int, int] = {}  # of each hash, the last place before the row
    weights = [64] * 256
    above: Sequence[int] = [0] * len(rows[0])
    for row in rows:
        costs = literal_costs(weights)
        candidates = [bytes([kind, *filter_row(kind, row, above, bpp)]) for kind in range(5)]
        prices = [cost(filtered, one, places, bpp, costs) for one in candidates]
        chosen = candidates[prices.index(min(prices))]
        start, filtered, above = len(filtered), filtered + chosen, row
        weights = [31 * weight // 32 for weight in weights]
        for at in range(start, len(filtered) - 1):
            if at == 0 or filtered[at - 1 : at + 2] != 3 * filtered[at : at + 1]:
                weights[filtered[at]] += 16
        for at in range(max(0, start - 3), len(filtered) - 3):
            places[hash_of(filtered[at : at + 4])] = at
    return filtered
