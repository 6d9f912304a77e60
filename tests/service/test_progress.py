"""Progress of calls, for both clients."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor.client import AsyncClient, CallProgress, Client
from compressor.results import Result
from tests.service.fake_pipeline import file_of

SIZE = 3 << 20


def compress(address: str, source: Any, on_progress: Any) -> Result:
    with Client(address, timeout=30) as client:
        return client.compress(source, on_progress=on_progress, delivery="immediate")


def compress_async(address: str, source: Any, on_progress: Any) -> Result:
    async def main() -> Result:
        async with AsyncClient(address, timeout=30) as client:
            return await client.compress(source, on_progress=on_progress, delivery="immediate")

    return asyncio.run(main())


both = pytest.mark.parametrize("send", [compress, compress_async])


def check(seen: list[CallProgress], sent: int, total: int | None, received: int) -> None:
    """Check that progress only grows, in steps of a message, to these values."""
    assert {progress.bytes_total for progress in seen} == {total}
    for before, after in zip([CallProgress(0, total, 0), *seen], seen, strict=False):
        steps = (after.bytes_sent - before.bytes_sent, after.bytes_received - before.bytes_received)
        assert min(steps) == 0 < max(steps) <= 1 << 20
    assert seen[-1] == CallProgress(sent, total, received)


@both
def test_progress_ends_with_all_bytes(fake: Any, send: Callable[..., Result], tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(file_of(SIZE))
    for source, total in ((path, SIZE), (path.read_bytes(), SIZE), (io.BytesIO(path.read_bytes()), None)):
        seen: list[CallProgress] = []
        result = send(fake.address, source, seen.append)
        assert len(result.data) == SIZE // 2
        assert len(seen) >= 12
        check(seen, SIZE, total, SIZE // 2)


@both
def test_progress_of_samples_is_in_bytes_of_pixels(fake: Any, send: Callable[..., Result]) -> None:
    pixels = np.zeros((1000, 1000, 3), np.uint8)
    seen: list[CallProgress] = []

    result = send(fake.address, pixels, seen.append)

    check(seen, pixels.nbytes, pixels.nbytes, len(result.data))


def test_progress_of_an_archive(fake: Any) -> None:
    seen: list[CallProgress] = []
    with Client(fake.address, timeout=30) as client:
        client.unarchive(file_of(SIZE), on_progress=seen.append)

    assert (seen[-1].bytes_sent, seen[-1].bytes_total) == (SIZE, SIZE)


@both
@pytest.mark.parametrize("event", ["bytes_sent", "bytes_received"])
def test_an_error_of_the_callers_function_ends_the_call_unchanged(
    fake: Any, send: Callable[..., Result], event: str
) -> None:
    def stop(progress: CallProgress) -> None:
        if getattr(progress, event):
            raise KeyError("the window was closed")

    with pytest.raises(KeyError, match="the window was closed"):
        send(fake.address, file_of(SIZE), stop)
