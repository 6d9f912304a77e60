from collections.abc import Iterator

import pytest

from tests.exporter.support import Bench


@pytest.fixture(autouse=True)
def close_benches() -> Iterator[None]:
    yield
    while Bench.open:
        Bench.open.pop().exporter.close()
