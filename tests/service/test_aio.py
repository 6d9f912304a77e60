"""The asynchronous client against a real server."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
import pytest

from compressor.client import AsyncClient
from compressor.client.aio import AsyncResultStream
from compressor.errors import BusyError, CallError, FormatError, SettingsError
from compressor.results import Result
from compressor.settings import Format, Report, Settings, Source, Tile
from tests.service.fake_pipeline import file_of

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new loop: gRPC's asyncio objects belong to one loop."""
    return asyncio.run(coroutine)


def test_both_clients_get_the_same(client: Any, service: Any, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(service.large)

    async def main() -> list[Result]:
        async with AsyncClient(service.address, timeout=60) as aio:
            return [await aio.compress(source, format="jpeg") for source in (service.large, path)]

    results = run(main())
    expected = client.compress(service.large, format="jpeg")

    assert {result.data for result in results} == {expected.data}
    assert results[0].report.settings_digest == expected.report.settings_digest


def test_a_stream_takes_an_asynchronous_iterator(service: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(service.large), 100_000):
            await asyncio.sleep(0)
            yield service.large[start : start + 100_000]

    async def main() -> tuple[Source, int, Report]:
        client = AsyncClient(service.address, timeout=60)
        async with client, client.stream(chunks(), Settings(format=Format.JPEG)) as stream:
            source = await stream.source()
            size = sum([len(chunk) async for chunk in stream])
            return source, size, stream.report

    source, size, report = run(main())
    assert source.width == report.width
    assert size == report.bytes_out


def test_arrays_and_inspect(service: Any) -> None:
    async def main() -> tuple[Result, Source]:
        async with AsyncClient(service.address, timeout=60) as client:
            array = np.zeros((50, 60, 3), np.uint8)
            return await client.compress(array, format="jpeg"), await client.inspect(service.large)

    result, source = run(main())
    assert result.report.source_format == "raw"
    assert source.width > 0


def test_a_failure_in_band_takes_precedence_over_the_status_during_an_upload(fake: Any) -> None:
    """gRPC reports INTERNAL for most of these calls."""

    async def main() -> None:
        async with AsyncClient(fake.address, timeout=60) as client:
            for _ in range(50):
                with pytest.raises(FormatError) as caught:
                    await client.compress(file_of(8 << 20, b"late"))
                assert (caught.value.offset or 0) > 1 << 20
                with pytest.raises(FormatError):
                    await client.inspect(b"JUNK" * 1_000_000)

    run(main())


def test_an_error_of_the_callers_iterator_is_raised_unchanged(service: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield service.large[:1000]
        raise OSError("the disk is gone")

    async def main() -> list[bytes]:
        async with AsyncClient(service.address, timeout=60) as client, client.stream(chunks()) as stream:
            return [chunk async for chunk in stream]

    with pytest.raises(OSError, match="the disk is gone"):
        run(main())
    with pytest.raises(FileNotFoundError):
        run(missing(service))


@pytest.mark.parametrize(
    "error", [KeyError("gone"), asyncio.InvalidStateError("gone"), grpc.aio.UsageError("gone")], ids=repr
)
def test_an_error_of_the_source_ends_the_call_at_once_whatever_it_is(fake: Any, error: Exception) -> None:
    """Some are of the kinds that gRPC raises for a call that has ended."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"FAKEhalf"
        raise error

    with pytest.raises(type(error), match="gone"):
        run(sent(fake, chunks()))


def test_parts_of_a_wrong_type_end_the_call_at_once(fake: Any) -> None:
    async def text() -> AsyncIterator[Any]:
        yield "FAKEhalf"

    async def tiles() -> AsyncIterator[Any]:
        yield Tile(0, 0, b"pixel")

    with pytest.raises(SettingsError, match="image: yields str, must yield chunks of bytes"):
        run(sent(fake, text()))
    with pytest.raises(ValueError, match="tile"):
        run(unarchived(fake, tiles()))


def test_a_source_that_is_canceled_cancels_the_call(fake: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"FAKEhalf"
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(sent(fake, chunks()))


async def sent(service: Any, chunks: AsyncIterator[Any]) -> Result:
    async with AsyncClient(service.address, timeout=30) as client:
        return await read_at_once(client.stream(chunks))


async def unarchived(service: Any, chunks: AsyncIterator[Any]) -> Result:
    async with AsyncClient(service.address, timeout=30) as client:
        return await read_at_once(client.unarchive_stream(chunks))


async def read_at_once(stream: AsyncResultStream) -> Result:
    """Read a stream whose source fails. Nothing but the client ends the call before its time limit, 30 s."""
    started = time.monotonic()
    try:
        async with stream:
            return await stream.read()
    finally:
        assert time.monotonic() - started < 15


async def missing(service: Any) -> None:
    async with AsyncClient(service.address, timeout=60) as client:
        await client.compress("/does/not/exist")


def test_a_busy_service_is_retried(fake: Any) -> None:
    async def main() -> None:
        async with AsyncClient(fake.address, retries=1) as client:
            await client.compress(b"FAKEbusy")

    before = fake.counts.started
    with pytest.raises(BusyError):
        run(main())
    assert fake.counts.started == before + 2


def test_a_deadline_and_an_address_without_a_server_are_call_errors(idle: Any) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"FAKEhalf"
        await asyncio.sleep(5)

    async def main(address: str) -> list[bytes]:
        async with AsyncClient(address, timeout=0.2) as client, client.stream(stuck()) as stream:
            return [chunk async for chunk in stream]

    with pytest.raises(CallError) as caught:
        run(main(idle.address))
    assert caught.value.code == "DEADLINE_EXCEEDED"
    with pytest.raises(CallError) as caught:
        run(main("127.0.0.1:1"))
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_settings_are_checked_before_anything_is_sent(service: Any) -> None:
    async def main() -> None:
        async with AsyncClient(service.address) as client:
            await client.compress(b"", quality=0)

    with pytest.raises(SettingsError):
        run(main())


def test_forty_calls_at_once(service: Any) -> None:
    async def main() -> list[Result]:
        async with AsyncClient(service.address, timeout=120, retries=100) as client:
            calls = [client.compress(service.large, format="jpeg") for _ in range(40)]
            return await asyncio.gather(*calls)

    assert len({result.data for result in run(main())}) == 1
