"""One file into another that is damaged, always the same one for the same number."""

import random

from tests.fuzz import jpeg, png
from tests.fuzz.blind import BLIND

OWN = {"jpeg": jpeg.JPEG, "png": png.PNG}


def mutant(kind: str, seed: int, number: int, seeds: tuple[bytes, ...]) -> bytes:
    """Case `number` of a run. One to four changes, most of them of those for this kind of file."""
    rng = random.Random(f"{kind} {seed} {number}")
    return changed(kind, rng, rng.choice(seeds), seeds)


def changed(kind: str, rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    """The same with all that is random given."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        change = rng.choice(OWN[kind] if rng.random() < 0.7 else BLIND)
        data = change(rng, data, seeds)
    return data
