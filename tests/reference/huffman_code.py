"""Codes for given counts: that of T.81 K.2, by a heap and a tree, and the best possible length-limited one."""

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace


def least_total_bits(counts: Iterable[int], limit: int) -> int:
    """Return the total bits of the best prefix code with no code over `limit` bits and the code of all ones kept free,
    by package-merge (Larmore and Hirschberg, 1990)."""
    reserved = -1
    leaves = sorted([(int(count), (symbol,)) for symbol, count in enumerate(counts) if count] + [(0, (reserved,))])
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(limit):
        merged = sorted([*leaves, *packages], key=lambda item: item[0])
        packages = [
            (merged[i][0] + merged[i + 1][0], merged[i][1] + merged[i + 1][1]) for i in range(0, len(merged) - 1, 2)
        ]
    return sum(weight for weight, _ in packages[: len(leaves) - 1])


def huffman_spec(counts: Iterable[int]) -> tuple[bytes, bytes]:
    """Return the code of least total length that has no code over 16 bits and none of all ones (Annex K.2).

    counts  of up to 256 symbols
    """
    # Figure K.1: merge the two rarest trees until one is left. The reserved symbol 256 with its count of 1 takes the
    # code of all ones. Among equals the higher symbol is merged first, as in the figure.
    trees = [(int(count), -symbol) for symbol, count in enumerate(counts) if count] + [(1, -256)]
    symbols = [-name for _, name in trees]
    node = {name: number for number, (_, name) in enumerate(trees)}  # the root of each tree
    parent = [0] * len(trees)
    heapify(trees)
    while len(trees) > 1:
        first, second = heappop(trees), trees[0]
        parent[node[first[1]]] = parent[node[second[1]]] = len(parent)
        node[first[1]] = len(parent)
        parent.append(0)
        heapreplace(trees, (first[0] + second[0], first[1]))
    depth = [0] * len(parent)
    for number in range(len(parent) - 2, -1, -1):
        depth[number] = depth[parent[number]] + 1
    size = dict(zip(symbols, depth, strict=False))
    bits = [0] * (max(*size.values(), 16) + 1)
    for length in size.values():
        bits[length] += 1
    _limit(bits)
    bits[max(length for length in range(16 + 1) if bits[length])] -= 1  # the reserved symbol's
    order = sorted((symbol for symbol in size if symbol != 256), key=lambda symbol: (size[symbol], symbol))
    return bytes(bits[1 : 16 + 1]), bytes(order)


def _limit(bits: list[int]) -> None:
    """Shorten codes over 16 bits in pairs, at the cost of lengthening a shorter one (Figure K.3)."""
    for length in range(len(bits) - 1, 16, -1):
        while bits[length] > 0:
            shorter = max(n for n in range(1, length - 1) if bits[n])
            bits[length] -= 2
            bits[length - 1] += 1
            bits[shorter + 1] += 2
            bits[shorter] -= 1
