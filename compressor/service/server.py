"""The server: gRPC with health and reflection on one port, HTTP and metrics on others, and a graceful shutdown."""

import asyncio
import dataclasses
import functools
import logging
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from compressor import wire
from compressor.calls.admission import Admission, AdmissionLimits
from compressor.calls.call import CALL_BYTES, OUTPUT_BYTES_MAX, Codec
from compressor.calls.client_clock import ClientLimits
from compressor.calls.threads import CallThreads
from compressor.cores import cores
from compressor.footprint import AccruedUsage
from compressor.humanize import human_bytes
from compressor.memory import Resources
from compressor.metrics import Metrics
from compressor.metrics.admin import Admin
from compressor.service import malloc
from compressor.service.access import PortAccess
from compressor.service.config import Listening, ServerConfig, spool_budget_of
from compressor.service.energy import export_energy
from compressor.service.http.exchange import HTTP_CALL_BYTES, TLS_BYTES
from compressor.service.observation import CallObserver, grpc_log_filter
from compressor.service.reflection import add_reflection
from compressor.service.reset import note_creators
from compressor.service.servicer import CompressorService
from compressor.service.signals import reload_on_hangup, until_signaled
from compressor.service.spool_watch import SpoolWatch
from compressor.service.tracing import tracing_of
from compressor.usage import ProcessUsage
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc

log = logging.getLogger(__name__)

SERVICE = pb.DESCRIPTOR.services_by_name["CompressorService"].full_name
TRIM_SECONDS, TRIMS = 1.0, 3
PENDING_CALLS_MAX = 10_000
SWITCH_SECONDS = 0.0005
STACK_BYTES = 512 << 10  # of a call's thread: the codec works in arrays, not on the stack
# Memory of a call, besides its image and its HTTP/2 window: the chunk that the pipeline works on, the next one, and the
# three copies that gRPC keeps of a message whose reader does not take it.
GRPC_CALL_BYTES = CALL_BYTES + 2 * wire.CHUNK_BYTES + 3 * OUTPUT_BYTES_MAX


def channel_options(config: ServerConfig) -> list[tuple[str, int]]:
    """Return the server's gRPC options. The window is fixed: by default it grows to megabytes for a stalled call."""
    return [
        ("grpc.max_receive_message_length", wire.MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", wire.MESSAGE_BYTES_MAX),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", config.window_bytes),  # ignored if BDP probing is on
        # For each connection. More than may run, so that we reject the others, with details: a call that gRPC itself
        # rejects loses the reason once it has sent more than 256 KiB.
        ("grpc.max_concurrent_streams", config.max_concurrent_calls + 256),
        # Calls that wait for the event loop to take them. Above the limit C core cancels calls, without a reason.
        ("grpc.server.max_pending_requests", PENDING_CALLS_MAX),
        ("grpc.server.max_pending_requests_hard_limit", PENDING_CALLS_MAX),
        ("grpc.max_allowed_incoming_connections", config.max_connections),
        # Only for workers, or a second server could bind the same port and get half of the calls.
        ("grpc.so_reuseport", int(config.workers > 1)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.max_connection_age_ms", 1_800_000),
        ("grpc.max_connection_age_grace_ms", 300_000),
    ]


class Server:
    """A server in its event loop: `start`, then `stop`. Its ports are known after `start`.

    after_activity      called within seconds after anything has arrived or ended
    after_spool_change  called with whether the spool directory works, at first and whenever that changes
    """

    def __init__(self, config: ServerConfig, codec: Codec) -> None:
        self.config = config
        self.metrics = Metrics()
        self._tracing = tracing_of()
        self._observer = CallObserver(self.metrics, self._tracing)
        # Before it listens: a server must not listen with incomplete settings of TLS or tokens.
        self.access = PortAccess(config, self.metrics, self._observer.reject_token)
        codec = codec_of_formats(codec, config.formats)
        resources = codec.resources
        self._usage = ProcessUsage(since_start=True, idle_memory=True)  # compiling kernels included
        accrued = AccruedUsage(config.footprint, self._usage, resources.held.byte_seconds)
        self.metrics.watch_memory(config.memory_budget, lambda: resources.reserved_bytes, accrued.memory_byte_seconds)
        disk = self._disk = resources.spool_directory
        self.metrics.watch_spool(
            resources.spools.whole, lambda: resources.spooled_bytes, lambda: disk.files, lambda: disk.errors
        )
        self._spool_watch = SpoolWatch(disk, self._spool_changed)
        self.metrics.watch_queues({"memory": lambda: resources.waiting, "cores": lambda: cores.waiting})
        if config.workers == 1:
            export_energy(self.metrics, config.footprint, accrued)
        self.after_activity: Callable[[], None] = lambda: None
        self.after_spool_change: Callable[[bool], None] = lambda works: None
        self.ready = False
        self.port = 0
        self.http_port: int | None = None
        self.metrics_port: int | None = None
        self._codec = codec
        self._admin: Admin | None = None
        self._health = health.aio.HealthServicer()
        limits = AdmissionLimits(
            calls=config.max_concurrent_calls,
            calls_per_peer=config.max_calls_per_peer,
            queue_seconds=config.queue_seconds,
        )
        client_limits = ClientLimits(
            header_seconds=config.header_seconds,
            idle_seconds=config.idle_seconds,
            bytes_per_second_min=config.min_bytes_per_second,
            call_seconds=config.max_call_seconds,
        )
        self._admission = Admission(resources, limits, client_limits)
        threads = CallThreads(config.max_concurrent_calls)
        self._service = CompressorService(codec, self._observer, config.footprint, self._admission, threads)
        self._http = None
        if config.http_address is not None:
            from compressor.service.http.front import open_http  # its library is an extra

            self._http = open_http(config, self.access, codec, self._observer, self._admission, threads, self._service)
            self.http_port = self._http.port

    async def start(self) -> None:
        """Listen, warm up, and only then report SERVING."""
        config = self.config
        grpc_log_filter.install()
        note_creators(asyncio.get_running_loop())
        self._server = grpc.aio.server(interceptors=self.access.interceptors, options=channel_options(config))
        rpc.add_CompressorServiceServicer_to_server(self._service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if self.access.reflection:
            add_reflection((SERVICE, "grpc.health.v1.Health"), self._server)
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        if self.access.credentials is None:
            self.port = self._server.add_insecure_port(config.address)
        else:
            self.port = self._server.add_secure_port(config.address, self.access.credentials)
        if config.metrics_address is not None:
            host, _, port = config.metrics_address.rpartition(":")
            self._admin = Admin(host.strip("[]"), int(port), self.metrics.wsgi, self._is_ready)
            self.metrics_port = self._admin.port
        await self._server.start()
        if self._http is not None:
            await self._http.start()
        await asyncio.to_thread(self._codec.warm_up)
        malloc.freeze()
        self._usage.settle()
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        await self._spool_watch.check()
        repeated = (self._trim(), self._admission.watch(), self._spool_watch.run(), self.access.watch())
        self._background = [asyncio.create_task(work) for work in repeated]
        self.ready = True
        log.info("serving on port %d, metrics on port %s", self.port, self.metrics_port)
        budget = self._codec.resources.spools.whole
        most = "any size" if budget is None else f"{human_bytes(budget)} together at most"
        log.info("spools in %s, %s", self._disk.path, most)

    async def _trim(self) -> None:
        """Return freed memory to the system after activity. On a thread: it takes some milliseconds.

        Calls whose clients were cut off are freed by the first time, and their memory is returned by the next ones.
        """
        left = 0
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            left = TRIMS if self._service.had_activity else left - 1
            self._service.had_activity = False
            if left > 0:
                await asyncio.to_thread(malloc.trim)
            if left == TRIMS:
                await asyncio.to_thread(self.after_activity)

    def _is_ready(self) -> bool:
        return self.ready and not self._disk.problem

    async def _spool_changed(self, works: bool) -> None:
        """Report whether calls can do all their work. The health without a name stays: a restart would not help."""
        status = health_pb2.HealthCheckResponse
        await self._health.set(SERVICE, status.SERVING if works else status.NOT_SERVING)
        self.after_spool_change(works)

    async def failed(self) -> None:
        """Wait for an error of the work in the background, which ends only with one, and raise it."""
        for task in asyncio.as_completed(self._background):
            await task

    async def stop(self) -> None:
        """Report NOT_SERVING, wait for load balancers and then for running calls, and stop."""
        self.ready = False
        self._service.draining = True
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self.config.drain_seconds)
        grace = self.config.grace_seconds
        await asyncio.gather(self._server.stop(grace), *([self._http.stop(grace)] if self._http else []))
        for task in self._background:
            task.cancel()
        if self._admin is not None:
            await asyncio.to_thread(self._admin.close)
        if self._tracing is not None:
            await asyncio.to_thread(self._tracing.close)
        log.info("stopped")


async def run(config: ServerConfig, codec: Codec, on_ready: Callable[[Listening], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain."""
    async with until_signaled() as (stopped, handle_interrupt):
        server = Server(config, codec)
        await server.start()
        handle_interrupt()
        reload_on_hangup(server.access.reload)
        if on_ready is not None:
            on_ready(server)
        failure = await first_of(stopped.wait(), server.failed())
    await server.stop()
    if failure is not None:
        raise failure


async def first_of(*work: Coroutine[Any, Any, object]) -> BaseException | None:
    """Wait until the first of some works ends, cancel the others, and return its error; None if it has none."""
    tasks = [asyncio.create_task(one) for one in work]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return next((error for task in done if (error := task.exception()) is not None), None)


def prepare_threads() -> None:
    """Set the stack of threads, and how long one keeps the interpreter while another waits for it.

    The event loop lets go of the interpreter at each of some five calls into gRPC for every call, even for one that is
    refused, and waits for it again as long as that. With Python's own 5 ms it falls behind under load.
    """
    threading.stack_size(STACK_BYTES)
    sys.setswitchinterval(SWITCH_SECONDS)


def serve_alone(config: ServerConfig, on_ready: Callable[[Listening], None] | None, codec: Codec | None) -> None:
    """Serve until SIGTERM or SIGINT, in this process."""
    malloc.return_freed_memory()
    prepare_threads()
    if codec is None:
        from compressor.calls.codec import pipeline_codec

        codec = pipeline_codec(resources_of(config))
    asyncio.run(run(config, codec, on_ready))


def codec_of_formats(codec: Codec, formats: tuple[str, ...] | None) -> Codec:
    """Return a codec that decodes files of these formats only; None: all."""
    if formats is None:
        return codec
    accepted = frozenset(formats)
    return dataclasses.replace(
        codec,
        stream=functools.partial(codec.stream, formats=accepted),
        inspect=functools.partial(codec.inspect, formats=accepted),
        unarchive=functools.partial(codec.unarchive, formats=accepted),
    )


def call_bytes(config: ServerConfig) -> int:
    """Return the memory of a call besides its image, whichever transport it uses."""
    grpc_bytes = GRPC_CALL_BYTES + config.window_bytes
    if config.http_address is None:
        return grpc_bytes
    return max(grpc_bytes, HTTP_CALL_BYTES + (TLS_BYTES if config.tls_cert is not None else 0))


def resources_of(config: ServerConfig) -> Resources:
    """Return the resources that all calls of a server share."""
    return Resources(
        memory_budget=config.memory_budget,
        spool_dir=config.spool_dir,
        spool_budget=spool_budget_of(config),
        overhead=call_bytes(config),
    )
