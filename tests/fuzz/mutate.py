"""Reproducible mutants of files by number."""

import random

from tests.fuzz import jpeg, png
from tests.fuzz.blind import BLIND

OWN = {"jpeg": jpeg.JPEG, "png": png.PNG}


def mutant(kind: str, seed: int, number: int, seeds: tuple[bytes, ...]) -> bytes:
    """Return mutant `number` of a run: one to four mutations, most of them specific to this kind of file."""
    rng = random.Random(f"{kind} {seed} {number}")
    return changed(kind, rng, rng.choice(seeds), seeds)


def changed(kind: str, rng: random.Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    """Return a mutant of a file with a given random generator."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        change = rng.choice(OWN[kind] if rng.random() < 0.7 else BLIND)
        data = change(rng, data, seeds)
    return data
