"""Which calls are repeated after a lost connection, at which server, and what a source that can be read once means."""

import asyncio
import contextlib
import dataclasses
import io
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from PIL import Image

from compressor import raster
from compressor.client import AsyncClient, CallProgress, Client, addresses
from compressor.errors import CallError
from compressor.inputs import Replayable
from compressor.results import Result
from tests.service.conftest import Service
from tests.service.fake_pipeline import fake_codec
from tests.service.flaky import RESULT
from tests.service.lossy_proxy import LossyProxy
from tests.service.running import Running, free_port


def compress(address: Any, source: Any, **options: Any) -> Result:
    with Client(address, timeout=20, **options) as client:
        return client.compress(source)


def compress_async(address: Any, source: Any, **options: Any) -> Result:
    async def main() -> Result:
        async with AsyncClient(address, timeout=20, **options) as client:
            return await client.compress(source)

    return asyncio.run(main())


both = pytest.mark.parametrize("send", [compress, compress_async])


@both
def test_a_call_is_repeated_until_its_result_is_complete(flaky: Any, send: Callable[..., Result]) -> None:
    """`compress` gives its caller nothing before that, so it may lose the connection at any time."""
    service, address = flaky(0, 1, 2)

    assert send(address, b"image").data == RESULT
    assert service.calls == 4


def test_unarchive_is_repeated_until_its_result_is_complete(flaky: Any) -> None:
    service, address = flaky(0, 1, 2)

    with Client(address, timeout=20) as client:
        assert client.unarchive(b"archive").data == RESULT
    assert service.calls == 4


def test_an_asynchronous_unarchive_is_repeated_until_its_result_is_complete(flaky: Any) -> None:
    service, address = flaky(0, 1, 2)

    async def main() -> Result:
        async with AsyncClient(address, timeout=20) as client:
            return await client.unarchive(b"archive")

    assert asyncio.run(main()).data == RESULT
    assert service.calls == 4


def test_progress_begins_again_with_each_attempt(flaky: Any) -> None:
    _, address = flaky(2)
    seen: list[CallProgress] = []
    with Client(address, timeout=20) as client:
        client.compress(b"image", on_progress=seen.append)

    received = [progress.bytes_received for progress in seen]
    assert [after for before, after in zip([0, *received], received, strict=False) if after > before] == [6, 6]


@both
def test_replayable_chunks_are_sent_again(flaky: Any, send: Callable[..., Result]) -> None:
    service, address = flaky(0, 2)
    begun: list[None] = []

    def chunks() -> Iterator[bytes]:
        begun.append(None)
        yield b"image"

    assert send(address, Replayable(chunks)).data == RESULT
    assert len(begun) == service.calls == 3, "the server reads each upload to its end"


@both
def test_retries_are_bounded(flaky: Any, send: Callable[..., Result]) -> None:
    service, address = flaky(*[0] * 9)

    with pytest.raises(CallError, match="UNAVAILABLE: Socket closed$"):
        send(address, b"image", retries=2)
    assert service.calls == 3


@both
def test_other_errors_are_not_retried(flaky: Any, send: Callable[..., Result]) -> None:
    service, address = flaky(0, code=grpc.StatusCode.INTERNAL)

    with pytest.raises(CallError, match="INTERNAL"):
        send(address, b"image")
    assert service.calls == 1


@both
def test_a_file_that_was_read_is_not_sent_again_and_the_error_says_so(flaky: Any, send: Callable[..., Result]) -> None:
    service, address = flaky(0)

    with pytest.raises(CallError, match="Socket closed; not sent again, since the source can be read only once"):
        send(address, io.BytesIO(b"image"))
    assert service.calls == 1


@both
def test_a_file_of_which_nothing_was_read_is_sent(flaky: Any, send: Callable[..., Result]) -> None:
    """The first server refuses connections."""
    service, address = flaky()
    file = io.BytesIO(b"image")

    assert send([f"127.0.0.1:{free_port()}", address], file).data == RESULT
    assert service.calls == 1
    assert file.tell() == len(b"image")


def test_an_iterator_that_is_being_read_is_not_read_by_another_attempt(flaky: Any) -> None:
    service, address = flaky(0)
    is_read, go = threading.Event(), threading.Event()
    service.before_sending = lambda requests: is_read.wait(10)

    def chunks() -> Iterator[bytes]:
        is_read.set()
        go.wait(10)
        yield b"image"

    with pytest.raises(CallError, match="only once"):
        compress(address, chunks())
    go.set()
    assert service.calls == 1


def test_a_stream_is_repeated_until_a_chunk_was_returned(flaky: Any) -> None:
    service, address = flaky(0, 1, 2)
    with Client(address, timeout=20) as client:
        with client.stream([b"image"]) as stream:
            assert stream.source.format == "fake"
            assert next(stream) == RESULT
            with pytest.raises(CallError, match="UNAVAILABLE"):
                next(stream)

    assert service.calls == 3


def test_an_asynchronous_stream_is_repeated_until_a_chunk_was_returned(flaky: Any) -> None:
    service, address = flaky(0, 1, 2)

    async def main() -> list[bytes]:
        async with AsyncClient(address, timeout=20) as client:
            async with client.stream([b"image"]) as stream:
                assert (await stream.source()).format == "fake"
                assert await anext(stream) == RESULT
                return [chunk async for chunk in stream]

    with pytest.raises(CallError, match="UNAVAILABLE"):
        asyncio.run(main())
    assert service.calls == 3


def test_an_asynchronous_iterator_that_was_read_is_not_sent_again(flaky: Any) -> None:
    service, address = flaky(0)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"image"

    with pytest.raises(CallError, match="only once"):
        compress_async(address, chunks())
    assert service.calls == 1


def test_a_picture_is_converted_once_for_all_attempts(flaky: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the asynchronous client on a thread."""
    threads: list[threading.Thread] = []
    read_picture = raster.read_picture

    def noted(image: Image.Image) -> Any:
        threads.append(threading.current_thread())
        return read_picture(image)

    monkeypatch.setattr(raster, "read_picture", noted)
    service, address = flaky(0, 1)
    assert compress(address, Image.new("RGB", (64, 64))).data == RESULT
    assert service.calls == 3
    assert threads == [threading.main_thread()]
    service.breaks = [0, 1]
    assert compress_async(address, Image.new("RGB", (64, 64))).data == RESULT
    assert service.calls == 6
    assert len(threads) == 2
    assert threads[1] is not threading.main_thread()


def test_inspect_is_repeated(flaky: Any) -> None:
    service, address = flaky(0, 1)
    with Client(address, timeout=20) as client:
        assert client.inspect(b"image").format == "fake"
    assert service.calls == 2


@both
def test_an_error_of_the_first_connection_is_not_retried_unless_it_was_refused(send: Callable[..., Result]) -> None:
    """A wrong certificate stays wrong: the caller is told at once."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])
                    accepted[-1].close()

        thread = threading.Thread(target=accept)
        thread.start()
        started = time.monotonic()
        with pytest.raises(CallError, match="UNAVAILABLE"):
            send(f"127.0.0.1:{listener.getsockname()[1]}", b"image", retries=1000)
        assert time.monotonic() - started < 15
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert accepted


@both
def test_a_connection_that_is_lost_during_the_upload_is_made_again(
    real: Service, send: Callable[..., Result], tmp_path: Any
) -> None:
    """Neither client has had a connection before, and the source is a path."""
    path = tmp_path / "image.png"
    path.write_bytes(real.large)
    with LossyProxy(real.address, losses=2, count=500_000) as proxy:
        result = send(proxy.address, path)
        assert proxy.lost == 2
    assert result.report.bytes_in == len(real.large)


def test_a_server_that_starts_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At first it refuses connections. Then a client of several servers learns from its health that it is not ready."""
    monkeypatch.setattr("random.uniform", lambda low, high: min(high, 1.0))
    warm = threading.Event()

    def wait() -> None:
        warm.wait(20)

    codec = dataclasses.replace(fake_codec(), warm_up=wait)
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with ThreadPoolExecutor(2) as pool, Client(addresses[0], timeout=30) as one, Client(addresses, timeout=30) as two:
        results = [pool.submit(client.compress, b"FAKEhalf") for client in (one, two)]
        threading.Timer(1.0, warm.set).start()
        with Running(codec, address=addresses[0]):
            assert [result.result(20).report.bytes_in for result in results] == [8, 8]


@pytest.fixture
def long_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server whose connection was lost be avoided for longer than a test takes."""
    monkeypatch.setattr(addresses, "AVOIDED_SECONDS", 600.0)


@pytest.mark.usefixtures("long_avoided")
def test_a_server_that_lost_its_connection_is_avoided(flaky: Any) -> None:
    (service, address), (broken, gone) = flaky(), flaky(*[0] * 20)
    with Client([gone, address], timeout=20) as client:
        for _ in range(10):
            client.compress(b"image")

    assert broken.calls == 1
    assert service.calls == 10


@pytest.mark.usefixtures("long_avoided")
def test_a_server_that_lost_its_connection_after_a_chunk_is_avoided(flaky: Any) -> None:
    """That call is not retried, but the next one goes to the other server."""
    (broken, gone), (_, address) = flaky(2, *[0] * 20), flaky()
    with Client([gone, address], timeout=20, retries=0) as client:
        with client.stream([b"image"]) as stream, pytest.raises(CallError, match="UNAVAILABLE"):
            list(stream)
        for _ in range(3):
            client.compress(b"image")

    assert broken.calls == 1


@pytest.mark.usefixtures("long_avoided")
def test_a_server_that_lost_its_connection_after_a_chunk_is_avoided_by_an_asynchronous_client(flaky: Any) -> None:
    (broken, gone), (_, address) = flaky(2, *[0] * 20), flaky()

    async def main() -> None:
        async with AsyncClient([gone, address], timeout=20, retries=0) as client:
            async with client.stream([b"image"]) as stream:
                with pytest.raises(CallError, match="UNAVAILABLE"):
                    _ = [chunk async for chunk in stream]
            for _ in range(3):
                await client.compress(b"image")

    asyncio.run(main())
    assert broken.calls == 1


@pytest.mark.usefixtures("long_avoided")
def test_a_server_that_lost_its_connection_is_avoided_by_the_next_inspect(flaky: Any) -> None:
    """The caller's iterator has raised an error, too, so that the call is not retried."""
    (broken, gone), (service, address) = flaky(0), flaky(1, 1)
    broken.before_sending = list  # wait for the end of the upload

    def chunks() -> Iterator[bytes]:
        yield b"image"
        raise KeyError("the disk is gone")

    with Client([gone, address], timeout=20) as client:
        with pytest.raises(KeyError):
            client.inspect(chunks())
        for _ in range(2):
            client.inspect(b"image")

    assert (broken.calls, service.calls) == (1, 2)
