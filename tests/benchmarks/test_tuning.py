"""The tool that compares tables and constants: its judges, candidates and BD-rate."""

import math

import numpy as np
import pytest

from benchmarks.harness import encoders
from benchmarks.tuning import judging, run
from benchmarks.tuning.candidate import Candidate
from compressor.jpeg import perceptual
from compressor.settings import Effort


def noise(seed: int, height: int = 192, width: int = 208) -> np.ndarray:
    """Return a smooth colored picture with noise: (height, width, 3) uint8."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, height * width).reshape(height, width, 1)
    return np.clip(ramp + generator.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)


def test_ms_ssim_ranks_by_the_amount_of_noise() -> None:
    source = noise(1)
    scores = []
    for sigma in (0, 4, 12, 40):
        error = np.random.default_rng(2).normal(0, sigma, source.shape)
        scores.append(judging.ms_ssim(source, np.clip(source + error, 0, 255).astype(np.uint8)))

    assert scores[0] > 60
    assert scores == sorted(scores, reverse=True) and len(set(scores)) == 4


def test_ms_ssim_falls_with_the_contrast_and_is_symmetric() -> None:
    """A picture of half the contrast has a lower score, the same from either side."""
    checks = np.where(np.indices((256, 256)).sum(0) // 64 % 2, 200.0, 56.0)
    grey = np.repeat(checks[..., None], 3, 2)
    source, half = grey.astype(np.uint8), ((grey - 128) / 2 + 128).astype(np.uint8)

    assert judging.ms_ssim(source, source) > judging.ms_ssim(source, half) > 0
    assert judging.ms_ssim(source, half) == pytest.approx(judging.ms_ssim(half, source), abs=0.01)


def test_bd_rate_of_files_that_are_a_tenth_smaller() -> None:
    anchor: run.Points = [(1000, {"x": 1.0}), (2000, {"x": 2.0}), (4000, {"x": 3.0})]
    ours: run.Points = [(size * 9 // 10, scores) for size, scores in anchor]

    assert run.bd_rate(ours, anchor, "x") == pytest.approx(-10)
    assert math.isnan(run.bd_rate([(10, {"x": 8.0}), (20, {"x": 9.0})], anchor, "x"))


def test_a_candidate_changes_what_is_encoded_and_leaves_nothing_changed() -> None:
    pixels = noise(3)
    encode = encoders.ours("balanced")(pixels)
    before = encode(60)

    def coded(candidate: Candidate, distance: float) -> bytes:
        with candidate.at(distance):
            return encode(60)

    present = coded(Candidate(), perceptual.distance_for(60, Effort.BALANCED))
    assert present == before
    assert len(coded(Candidate(), 8.0)) < len(coded(Candidate(), 2.0))
    assert len({coded(candidate, 3.0) for candidate in (Candidate(), Candidate(dead_zone=2), Candidate(color=2))}) == 3
    assert encode(60) == before


def test_candidates_are_written_as_pairs() -> None:
    assert run.parsed("luma=0.6,chroma=0.3") == Candidate(luma=0.6, chroma=0.3)
    assert run.parsed("") == Candidate()
