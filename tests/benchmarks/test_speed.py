"""The benchmark of encoding speed: a small run and its checks of results."""

import numpy as np

from benchmarks.harness import photos
from benchmarks.speed import measure as speed


def test_encoders_are_timed_and_their_results_compared() -> None:
    image = np.ascontiguousarray(photos.pixels(photos.packaged()[0])[:96, 100:228])
    names = [one.name for one in speed.ENCODERS]

    results = speed.compare(image, names, cores=1, rounds=1)

    assert [one.encoder for one in results] == names
    assert [one.problem for one in results] == [""] * len(names)
    assert next(one for one in results if one.encoder == "Pillow").ratio == 1
    assert all(one.mp_per_second > 0 and 0.3 < one.bytes < 1.5 for one in results)


def test_results_far_below_pillows_quality_are_detected() -> None:
    pillow = (40.0, 80.0)

    assert speed.problem_of("fast", (38.0, 78.5), pillow) == ""
    assert speed.problem_of("fast", (38.0, 76.5), pillow) == "SSIMULACRA2 is 3.5 below Pillow's"
    assert speed.problem_of("mozjpeg", (20.0, 80.0), pillow) == "20.0 dB"
    assert speed.problem_of("bare kernels", (39.8, 80.0), pillow) == "-0.20 dB below Pillow's"
