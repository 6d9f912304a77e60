"""The peak memory of a service that searches for a target score in an image of 400 megapixels."""

from pathlib import Path

import pytest

from benchmarks.memory.measure import CONVERSIONS, MIB, MemoryBenchmark, problems_of

PEAK_BYTES_MAX = {"fast": 64 * MIB, "balanced": 64 * MIB, "best": 96 * MIB}


@pytest.mark.heavy
def test_a_target_score_of_400_megapixels_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    searches = [one for one in CONVERSIONS if "target_score" in one.settings]
    benchmark = MemoryBenchmark(tmp_path, tmp_path / "results", print, searches)
    benchmark.measure_size(400)

    assert {(one.name, one.effort) for one in benchmark.results} == {
        (one.name, effort) for one in searches for effort in PEAK_BYTES_MAX
    }
    assert problems_of(benchmark.results) == []
    for one in benchmark.results:
        assert one.peak_bytes is not None
        print(f"{one.name}, {one.effort}: {one.peak_bytes / MIB:.1f} MiB of {one.reserved_bytes / MIB:.1f} reserved")
        assert one.peak_bytes <= min(PEAK_BYTES_MAX[one.effort], one.reserved_bytes)
