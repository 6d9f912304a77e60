"""Two servers behind one client, restarted one after the other under load: no call is lost."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from compressor.client import AsyncClient, Client
from tests.service.fake_pipeline import file_of
from tests.service.running import Process, eventually, free_port

FILE = file_of(1 << 20)
CALLERS = 3
PAUSE_SECONDS = 0.02  # of each caller between its calls


class Load:
    """Calls of both clients at the same time, and how they ended."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self.succeeded = 0
        self.failures: list[BaseException] = []
        self._stopped = False

    def _end(self, bytes_out: int) -> None:
        assert bytes_out == len(FILE) // 2
        self.succeeded += 1

    def _call(self, client: Client) -> None:
        while not self._stopped:
            try:
                assert client.inspect(FILE).format == "fake"
                self._end(len(client.compress(FILE, delivery="immediate").data))
            except Exception as error:
                self.failures.append(error)
            time.sleep(PAUSE_SECONDS)

    async def _call_async(self) -> None:
        async def repeat(client: AsyncClient) -> None:
            while not self._stopped:
                try:
                    self._end(len((await client.compress(FILE, delivery="immediate")).data))
                except Exception as error:
                    self.failures.append(error)
                await asyncio.sleep(PAUSE_SECONDS)

        async with AsyncClient(",".join(self.addresses), timeout=30) as client:
            await asyncio.gather(*[repeat(client) for _ in range(CALLERS)])

    @contextmanager
    def running(self) -> Iterator[None]:
        with Client(self.addresses, timeout=30) as client:
            threads = [threading.Thread(target=self._call, args=(client,)) for _ in range(CALLERS)]
            threads.append(threading.Thread(target=lambda: asyncio.run(self._call_async())))
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                self._stopped = True
                for thread in threads:
                    thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_call_is_lost_while_two_servers_restart_one_after_the_other(number: signal.Signals) -> None:
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    load = Load(addresses)
    with ExitStack() as stack:
        servers = [stack.enter_context(Restarting(address)) for address in addresses]
        with load.running():
            for server in servers:
                before = load.succeeded
                assert eventually(lambda: load.succeeded > before + 20, 20)  # noqa: B023
                server.restart(number)
            before = load.succeeded
            assert eventually(lambda: load.succeeded > before + 20, 20)

    print(f"{load.succeeded} calls, {len(load.failures)} lost")
    assert not load.failures
    assert load.succeeded > 60


class Restarting:
    """A server that can be restarted at its address."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._process = self._start()

    def _start(self) -> Process:
        return Process("fake", address=self._address, drain_seconds=0.3, grace_seconds=20)

    def restart(self, number: signal.Signals) -> None:
        self._end(number)
        self._process = self._start()

    def _end(self, number: signal.Signals) -> None:
        process = self._process.process
        process.send_signal(number)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(30) == (0 if number is signal.SIGTERM else -number)

    def __enter__(self) -> "Restarting":
        return self

    def __exit__(self, *error: object) -> None:
        self._end(signal.SIGTERM)
