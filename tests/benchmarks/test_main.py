"""Every benchmark can be run by its name."""

import pytest

from benchmarks.__main__ import NAMES, load


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_a_benchmark(name: str) -> None:
    benchmark = load(name)

    assert callable(benchmark.run)
    if hasattr(benchmark, "options"):
        with pytest.raises(SystemExit) as ended:
            benchmark.options(["--help"])
        assert ended.value.code == 0
