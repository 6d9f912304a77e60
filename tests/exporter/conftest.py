from collections.abc import Iterator

import pytest

from tests.exporter.support import Bench


@pytest.fixture(autouse=True)
def benches_are_closed() -> Iterator[None]:
    yield
    while Bench.open:
        Bench.open.pop().exporter.close()
