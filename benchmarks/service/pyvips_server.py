"""A minimal gRPC server that recompresses JPEG files with libvips, as its users would write it.

    python -m benchmarks.service.pyvips_server

One message has the whole file, another the whole result, and libjpeg holds the coefficients of a progressive file. It
has no settings, no limits, no metadata policy, no checksums and no metrics.
"""

import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICE, METHOD = "benchmarks.Recoder", "Recode"
THREADS = 10  # as in gRPC's examples
MESSAGE_BYTES_MAX = 64 << 20
OPTIONS = {"Q": 80, "optimize_coding": True, "interlace": True}


def recode(data: bytes, _: object) -> bytes:
    """Decode and encode a file."""
    import pyvips

    image = pyvips.Image.new_from_buffer(data, "", access="sequential")
    return bytes(image.jpegsave_buffer(**OPTIONS))


def main() -> None:
    """Serve on a free port until SIGTERM."""
    import pyvips

    pyvips.cache_set_max(0)  # a file that comes again would not be encoded again
    size = [(f"grpc.max_{way}_message_length", MESSAGE_BYTES_MAX) for way in ("receive", "send")]
    server = grpc.server(ThreadPoolExecutor(THREADS), options=size)
    handlers: dict[str, Any] = {METHOD: grpc.unary_unary_rpc_method_handler(recode)}
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


if __name__ == "__main__":
    main()
