"""A gRPC server of one method with one message in and one out, as users of a library would write it."""

import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE, METHOD = "benchmarks.Recoder", "Recode"
THREADS = 10  # as in gRPC's examples
MESSAGE_BYTES_MAX = 64 << 20


def serve(recode: Callable[[bytes], bytes]) -> None:
    """Serve on a free port until SIGTERM, with gRPC's defaults but for the size of messages."""
    size = [(f"grpc.max_{way}_message_length", MESSAGE_BYTES_MAX) for way in ("receive", "send")]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=size)
    handlers: dict[str, Any] = {METHOD: grpc.unary_unary_rpc_method_handler(lambda data, _: recode(data))}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def stop(_: int, __: FrameType | None) -> None:
        server.stop(0)

    signal.signal(signal.SIGTERM, stop)
    print(f"serving on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()
    sys.exit(0)
