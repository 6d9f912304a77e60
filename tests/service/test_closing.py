"""Streams of a client that are closed while they are retried."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compressor.client import AsyncClient, Client
from compressor.client.retries import Attempts
from compressor.errors import CallError


def test_a_stream_that_is_closed_during_a_pause_is_not_repeated(flaky: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause ends at once."""
    service, address = flaky(0)
    is_paused = threading.Event()

    def pause(*arguments: Any) -> float:
        is_paused.set()
        return 15.0

    def close() -> None:
        is_paused.wait(10)
        time.sleep(0.1)
        stream.close()

    monkeypatch.setattr(Attempts, "pause", pause)
    with Client(address, timeout=20) as client, ThreadPoolExecutor(1) as pool:
        stream = client.stream([b"image"])
        closing = pool.submit(close)
        started = time.monotonic()
        with pytest.raises(CallError, match="UNAVAILABLE"):
            next(stream)
        assert time.monotonic() - started < 10
        closing.result()
    assert service.calls == 1


@pytest.mark.parametrize("moment", ["target", "timeout"])
def test_a_stream_that_is_closed_while_its_next_attempt_begins_is_canceled(
    flaky: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """As by another thread: that finds only the attempt before."""
    _, address = flaky(0)
    with Client(address, timeout=20) as client:
        stream = client.stream([b"image"])
        original = getattr(Attempts, moment)

        def closing(attempts: Attempts) -> Any:
            stream.close()
            return original(attempts)

        monkeypatch.setattr(Attempts, moment, closing)
        with pytest.raises(CallError, match="UNAVAILABLE"):
            next(stream)
        monkeypatch.undo()
        with pytest.raises(CallError, match="CANCELLED"):
            next(stream)


def test_an_asynchronous_stream_that_is_closed_during_a_pause_is_not_repeated(
    flaky: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, address = flaky(0)

    async def main() -> None:
        async with AsyncClient(address, timeout=20) as client:
            stream = client.stream([b"image"])
            is_paused = asyncio.Event()

            def pause(*arguments: Any) -> float:
                is_paused.set()
                return 15.0

            monkeypatch.setattr(Attempts, "pause", pause)
            reading = asyncio.create_task(anext(stream))
            await is_paused.wait()
            await asyncio.sleep(0.1)
            await stream.close()
            await reading

    started = time.monotonic()
    with pytest.raises(CallError, match="UNAVAILABLE"):
        asyncio.run(main())
    assert time.monotonic() - started < 10
    assert service.calls == 1
