"""The best possible length-limited code, by package-merge (Larmore and Hirschberg, 1990): slow and obvious."""


def least_total_bits(counts, limit):
    """Total bits of the best prefix code with no code over `limit` bits, one code point of ones only kept free."""
    leaves = sorted([(count, (symbol,)) for symbol, count in enumerate(counts) if count] + [(0, ("reserved",))])
    packages = []
    for _ in range(limit):
        merged = sorted(leaves + packages, key=lambda item: item[0])
        packages = [
            (merged[i][0] + merged[i + 1][0], merged[i][1] + merged[i + 1][1]) for i in range(0, len(merged) - 1, 2)
        ]
    return sum(weight for weight, _ in packages[: len(leaves) - 1])
