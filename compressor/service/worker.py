"""A worker: a process that serves calls on the port of its service, within shares of the service's budgets.

It is started by `workers.py`, which it is linked to by a socket, and ends at once when that process has ended.
"""

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from compressor.calls.call import Codec
from compressor.cores import cores
from compressor.errors import SettingsError
from compressor.footprint import Basis, Profile
from compressor.memory import Resources
from compressor.metrics import families_of
from compressor.service import malloc
from compressor.service.config import ServerConfig
from compressor.service.link import Link
from compressor.service.log_format import log_to_stderr
from compressor.service.server import Server, first_of, prepare_threads, resources_of
from compressor.service.shared_budget import BudgetShares

log = logging.getLogger(__name__)


def config_from(values: Mapping[str, Any]) -> ServerConfig:
    """Return the configuration that `dataclasses.asdict` made."""
    basis = values["footprint"]
    profile = None if basis["profile"] is None else Profile(basis["profile"])
    formats = None if values["formats"] is None else tuple(values["formats"])  # JSON has lists
    return ServerConfig(**dict(values) | {"footprint": Basis(**basis | {"profile": profile}), "formats": formats})


def share_of_cores(count: int, workers: int) -> int:
    """Return how many cores each worker computes on at a time.

    With all of them for each, the event loops wait for threads that compute: at ten times the load, calls were refused
    after six seconds.
    """
    return -(-count // workers)


def codec_of_pipeline(resources: Resources) -> Codec:
    """Return the codec that runs the pipeline, which is slow to import."""
    from compressor.calls.codec import pipeline_codec

    return pipeline_codec(resources)


class WorkerServer:
    """One worker, from its first message to its end, in an event loop.

    codec_of  returns the codec whose calls share some resources
    """

    def __init__(self, link: Link, start: Mapping[str, Any], codec_of: Callable[[Resources], Codec]) -> None:
        self._link, self._loop, self._stopped = link, asyncio.get_running_loop(), asyncio.Event()
        config = config_from(start["config"])
        cores.limit(share_of_cores(cores.count, config.workers))
        resources = resources_of(config)
        self._shares = BudgetShares(
            resources,
            lambda kind, wanted: self._send("ask", resource=kind, bytes=wanted),
            lambda kind, count: self._send("give_back", resource=kind, bytes=count),
        )
        self._shares.begin(start["memory"], start["spool"])
        # Before anything that takes long, since this thread ends the process when the service has ended.
        threading.Thread(target=self._receive, name="link", daemon=True).start()
        codec = codec_of(resources)
        self._warm_up = codec.warm_up
        self._server = Server(config, dataclasses.replace(codec, warm_up=lambda: None))
        self._server.after_activity = self._send_metrics
        self._server.after_spool_change = lambda works: self._send("spool", works=works)

    async def run(self) -> None:
        """Serve until the service or a signal says otherwise, then drain."""
        self._loop.add_signal_handler(signal.SIGTERM, self._stopped.set)
        # Before it listens, or it would get connections that others could serve at once.
        await asyncio.to_thread(self._warm_up)
        await self._server.start()
        self._send_metrics("ready")
        failure = await first_of(self._stopped.wait(), self._server.failed())
        self._loop.remove_signal_handler(signal.SIGTERM)  # a second signal ends the process at once
        await self._server.stop()
        self._send_metrics()
        if failure is not None:
            raise failure

    def _receive(self) -> None:
        """Do what the service says, on a thread of its own."""
        try:
            while (message := self._link.receive()) is not None:
                match message["kind"]:
                    case "grow":
                        self._shares.grow(message["resource"], message["bytes"])
                    case "limit":
                        self._shares.limit(message["resource"], message["ceiling"])
                    case "reload":
                        with contextlib.suppress(RuntimeError):  # the loop is closed: it has drained
                            self._loop.call_soon_threadsafe(self._server.access.reload)
                    case "collect":
                        self._send_metrics("collected")
                    case "drain":
                        with contextlib.suppress(RuntimeError):  # the loop is closed: it has drained
                            self._loop.call_soon_threadsafe(self._stopped.set)
        except Exception:
            log.exception("a message of the service can't be handled")
        os._exit(1)  # the service has ended

    def _send_metrics(self, kind: str = "metrics") -> None:
        self._send(kind, families=families_of(self._server.metrics.registry))

    def _send(self, kind: str, **content: Any) -> None:
        with contextlib.suppress(OSError):  # the service has ended, and this process is about to
            self._link.send(kind, **content)


async def run_worker(link: Link, start: Mapping[str, Any], codec_of: Callable[[Resources], Codec]) -> None:
    """Run a worker from its first message, `start`."""
    await WorkerServer(link, start, codec_of).run()


def main(codec_of: Callable[[Resources], Codec] = codec_of_pipeline) -> None:
    """Run a worker. The argument is the number of the file descriptor of its link. Tests replace the codec."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the first process gets it, and sends a message
    malloc.return_freed_memory()
    prepare_threads()
    link = Link(socket.socket(fileno=int(sys.argv[1])))
    start = link.receive()
    if start is None:
        return
    log_to_stderr(start["config"]["log_format"], start["config"]["log_level"])
    try:
        asyncio.run(run_worker(link, start, codec_of))
    except SettingsError as error:
        link.send("failed", field=error.field, problem=error.problem)
        sys.exit(2)
    except Exception as error:
        log.exception("the worker failed")
        link.send("failed", field=None, problem=f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
