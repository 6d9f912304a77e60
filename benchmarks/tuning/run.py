"""Bytes at equal quality by four judges, for candidates of tables and constants: BD-rate against Pillow's default.

python -m benchmarks tuning [--set tuning|validation] [--images N] [--efforts best,…] [--try luma=0.6,chroma=0.3 …]
                            [--scales POINTS | --means]

Each candidate is a list of `Candidate`'s fields; without one, the present tables are measured. Peers are always
measured; all scores are kept. `--scales` prints `perceptual.SCALES` for each candidate instead, such that the mean
SSIMULACRA2 is above libjpeg-turbo's by so many points; `--means` prints `target.MEAN_SCORES` and the weights of
`target.ROUNDING`. Choose on the tuning set: the best mean among those that no judge ranks below a peer. Look at the
validation set once, when nothing will be changed any more.

Kodak's photographs in `photos.TUNING` and the corpus' `photos/tuning` are the tuning set, Kodak's others and
`photos/validation` the validation set.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.density.curves import RANGES, Point, bd_rate, mean
from benchmarks.harness import encoders, fidelity, judges, photos, record
from benchmarks.harness.scores import Scores
from benchmarks.tuning.candidate import Candidate
from benchmarks.tuning.scale import GRID, fitted, fitted_means, libjpeg_scores, mean_scores
from compressor.settings import Effort

Points = list[Point]
DISTANCES = (6.0, 3.4, 1.95, 1.1)
PEERS = {
    encoders.PILLOW: (30, 52, 72, 87),
    encoders.MOZJPEG: (37, 58, 75, 88),
    encoders.JPEGLI: (36, 60, 78, 90),
}


def images(which: str, count: int | None) -> list[photos.Photograph]:
    """Return a set's photographs, of both sources in rotation."""
    kodak = [path for path in photos.from_corpus("kodak") if (path.name in photos.TUNING) == (which == "tuning")]
    others = photos.from_corpus(f"photos/{which}")
    ranked = sorted((index / len(paths), path) for paths in (kodak, others) for index, path in enumerate(paths))
    return [photos.Photograph(path, photos.factor_of(path)) for _, path in ranked][:count]


def points(files: Sequence[bytes], known: Scores) -> Points:
    """Score files, from the coarsest."""
    return [Point(number, len(data), **known.score(fidelity.decoded(data))) for number, data in enumerate(files)]


def parsed(text: str) -> Candidate:
    """Parse "luma=0.6,chroma=0.3"."""
    pairs = [word.split("=") for word in text.split(",") if word]
    values: dict[str, Any] = {
        name: int(value) if name in ("gradients", "fine") else float(value) for name, value in pairs
    }
    return Candidate(**values)


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the options of this tool."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks tuning")
    parser.add_argument("--set", choices=("tuning", "validation"), default="tuning", help="the photographs")
    parser.add_argument("--images", type=int, help="only the first N", metavar="N")
    parser.add_argument("--efforts", default="best", help="our efforts", metavar="NAME,…")
    parser.add_argument("--try", dest="candidates", nargs="*", default=[""], help="candidates", metavar="NAME=X,…")
    parser.add_argument("--scales", type=float, help="only print scales of quality", metavar="POINTS")
    parser.add_argument("--means", action="store_true", help="only print the mean scores of the search")
    parser.add_argument("--cache", type=Path, default=record.default_cache(), help="folder of scores", metavar="DIR")
    return parser.parse_args(words)


def files_of(pixels: fidelity.Pixels, effort: str, candidate: Candidate) -> list[bytes]:
    """Encode an image at each distance."""
    encode, found = encoders.ours(effort)(pixels), []
    for distance in DISTANCES:
        with candidate.at(distance):
            found.append(encode(50))
    return found


def row(name: str, given: list[Points], anchors: list[Points], peers: dict[str, dict[str, float]]) -> dict[str, float]:
    """Print the BD-rate by each judge, their mean, and the points behind the better peer by the worst judge."""
    rates = {
        judge: mean(
            [100 * bd_rate(one, anchor, judge, RANGES["50-90"]) for one, anchor in zip(given, anchors, strict=True)]
        )
        for judge in judges.usable()
    }
    average = float(np.mean(list(rates.values())))
    line = f"{name:44}" + "".join(f"{rate:12.1f}" for rate in rates.values()) + f"{average:9.2f}"
    if peers:
        lead = [rates[judge] - min(peer[judge] for peer in peers.values()) for judge in rates]
        best = min(float(np.mean(list(peer.values()))) for peer in peers.values())
        line += f"{max(lead):9.1f}{average - best:9.1f}"
    print(line, flush=True)
    return rates


def run(out: Path, words: Sequence[str] = ()) -> bool:
    """Measure and print; nothing is saved but the scores."""
    chosen = options(words)
    shown = images(chosen.set, chosen.images)
    held = [image.pixels() for image in shown]
    if chosen.scales is not None:
        wanted = libjpeg_scores(held)
        for text in chosen.candidates:
            for effort in map(Effort, chosen.efforts.split(",")):
                means = mean_scores(held, effort, parsed(text), GRID)
                print(effort.value, text, fitted(wanted, means, effort, chosen.scales), flush=True)
        return True
    if chosen.means:
        for text in chosen.candidates:
            for effort in map(Effort, chosen.efforts.split(",")):
                print(effort.value, text, *fitted_means(held, effort, parsed(text)), flush=True)
        return True
    with contextlib.ExitStack() as stack:
        known = [stack.enter_context(Scores(pixels, chosen.cache, judges.usable())) for pixels in held]
        heads = "".join(f"{judge:>12}" for judge in judges.usable())
        print(f"{len(shown)} photographs of the {chosen.set} set\n{'':44}{heads}{'mean':>9}{'worst':>9}{'lead':>9}")
        compare(chosen, held, known)
    for judge in judges.JUDGES:
        if reason := judge.missing():
            print(f"Not judged by {judge.title}: {reason}", file=sys.stderr)
    return True


def compare(chosen: argparse.Namespace, held: Sequence[fidelity.Pixels], known: Sequence[Scores]) -> None:
    """Print a row for each peer, and for each candidate and effort."""
    anchors: list[Points] = []
    peers: dict[str, dict[str, float]] = {}
    for encoder, qualities in PEERS.items():
        encoded = [encoder.hold(pixels) for pixels in held]
        found = [
            points([encode(quality) for quality in qualities], kept)
            for encode, kept in zip(encoded, known, strict=True)
        ]
        if encoder is encoders.PILLOW:
            anchors = found
        else:
            peers[encoder.name] = row(encoder.name, found, anchors, {})
    for text in chosen.candidates:
        for effort in chosen.efforts.split(","):
            found = [
                points(files_of(pixels, effort, parsed(text)), kept) for pixels, kept in zip(held, known, strict=True)
            ]
            row(f"{effort} {text}", found, anchors, peers)
