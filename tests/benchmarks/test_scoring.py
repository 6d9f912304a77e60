"""The benchmark of scoring: small runs of its parts."""

import numpy as np

from benchmarks import scoring
from benchmarks.harness import photos


def test_speed_is_compared_in_color_and_grey() -> None:
    source = np.ascontiguousarray(photos.pixels(photos.packaged()[0])[:96, 100:228])

    results = scoring.speed(source, scoring.after_jpeg(source, 75), rounds=1)

    assert [one.channels for one in results] == [3, 1]
    assert all(one.mp_per_second > one.peer_mp_per_second > 0 for one in results)


def test_scores_are_compared_with_the_twin() -> None:
    path = photos.packaged()[1]

    found = scoring.agreement([path], lambda name: None)

    (score, difference), *others = found.values()
    assert not others
    assert score < 70
    assert 0 < abs(difference) < 0.001


def test_added_memory_is_compared_with_what_is_stated() -> None:
    found = scoring.memory(3, 20)

    assert found.stated_bytes > 0
    assert found.resident_bytes < scoring.MEMORY_MAX_BYTES


def test_tables_have_a_row_for_each_kind() -> None:
    timed = [scoring.SpeedResult(3, 50.0, 0.5, 100.0), scoring.SpeedResult(1, 100.0, 0.5, 200.0)]
    held = [scoring.MemoryResult(3, 9 << 20, 6 << 20, 48.0)]

    assert [table.row_count for table in scoring.tables(timed, held, [0.1, -0.2], "photographs")] == [2, 1, 1]
