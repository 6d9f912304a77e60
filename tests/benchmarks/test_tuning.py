"""The tool that compares tables and constants: its judges, candidates and BD-rate."""

import numpy as np
import pytest

from benchmarks.harness import encoders
from benchmarks.tuning import run, scale
from benchmarks.tuning.candidate import Candidate
from compressor.jpeg import perceptual
from compressor.pipeline import target
from compressor.settings import Effort


def noise(seed: int, height: int = 192, width: int = 208) -> np.ndarray:
    """Return a smooth colored picture with noise: (height, width, 3) uint8."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, height * width).reshape(height, width, 1)
    return np.clip(ramp + generator.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("effort", ["fast", "balanced"])
def test_a_candidate_changes_what_is_encoded_and_leaves_nothing_changed(effort: str) -> None:
    pixels = noise(3)
    encode = encoders.ours(effort)(pixels)
    before = encode(60)

    def coded(candidate: Candidate, distance: float) -> bytes:
        with candidate.at(distance):
            return encode(60)

    present = coded(Candidate(), perceptual.distance_for(60, Effort(effort)))
    assert present == before
    assert len(coded(Candidate(), 8.0)) < len(coded(Candidate(), 2.0))
    tried = Candidate(), Candidate(dead_zone=2), Candidate(color=2), Candidate(cb=2)
    assert len({coded(candidate, 3.0) for candidate in tried}) == 4
    assert encode(60) == before


def test_candidates_are_written_as_pairs() -> None:
    assert run.parsed("luma=0.6,chroma=0.3,gradients=3") == Candidate(luma=0.6, chroma=0.3, gradients=3)
    assert run.parsed("") == Candidate()


def test_mean_scores_fall_with_the_distance_and_rounding_has_a_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "DISTANCES", (0.7, 2.0, 6.0))
    means, weights = scale.fitted_means([noise(4, 64, 64)], Effort.FAST, Candidate())

    assert len(means) == 3 and means == sorted(means, reverse=True)
    assert len(weights) == 3
