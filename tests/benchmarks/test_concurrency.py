"""The benchmark of concurrent calls: a small run and its checks of results."""

import numpy as np

import compressor
from benchmarks import concurrency


def test_concurrent_calls_are_timed_and_compared() -> None:
    results = concurrency.compare("JPEG, lossless", 64, (1, 2), rounds=2)

    assert [(one.threads, one.problem) for one in results] == [(1, ""), (2, "")]
    assert results[0].ratio == 1 and all(one.mp_per_second > 0 for one in results)


def test_wrong_results_of_concurrent_calls_are_detected() -> None:
    data = concurrency.source(64, "JPEG")
    smaller = compressor.compress(data, quality=70).data

    assert concurrency.problem_of(data, [smaller, smaller], lossless=False) == ""
    assert concurrency.problem_of(data, [smaller, smaller], lossless=True) == "not lossless"
    assert (
        concurrency.problem_of(data, [smaller, smaller + b"\0"], lossless=False) == "results of concurrent calls differ"
    )
    assert concurrency.problem_of(data, [data], lossless=False) == "not smaller"
    grey = compressor.compress(np.full((64, 64), 128, np.uint8)).data
    assert concurrency.problem_of(data, [grey, grey], lossless=False).endswith(" dB")
