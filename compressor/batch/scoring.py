"""Scores of a run's results: which objects are scored, and which results score too low to replace anything."""

import hashlib

from compressor.settings import Report

ONE_IN = 20  # objects of a sample
FIRST = 5  # objects of each worker, so that a small run has scores too


def is_in_sample(key: str, one_in: int) -> bool:
    """Return whether an object is among one in so many, chosen by the hash of its key: the same ones in every run."""
    head = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()[:8]
    return int.from_bytes(head, "big") % one_in == 0


def shortfall(report: Report, min_score: float | None) -> str:
    """Return why a result must not be used: its score is below the minimum. "" if it may be used."""
    if min_score is None:
        return ""
    if report.score is None:
        return f"its score was not measured, so it may be below min_score {min_score:g}"
    return f"its score is {report.score:.2f}, below min_score {min_score:g}" if report.score < min_score else ""
