"""The entry point: a service in one process or in several. Loads only what that needs."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from compressor.service.config import Listening, ServerConfig
from compressor.service.port import check_host

if TYPE_CHECKING:
    from compressor.calls.call import Codec


def serve(
    config: ServerConfig, on_ready: Callable[[Listening], None] | None = None, codec: "Codec | None" = None
) -> None:
    """Serve until SIGTERM or SIGINT. Call it in the main thread of a process.

    on_ready  called once calls are accepted
    codec     for tests, of one worker
    """
    check_host("address", config.address)
    if config.http_address is not None:
        check_host("http_address", config.http_address)
    if config.metrics_address is not None:
        check_host("metrics_address", config.metrics_address)
    if config.workers == 1:
        from compressor.service.server import serve_alone

        serve_alone(config, on_ready, codec)
    else:
        from compressor.service.workers import serve_with_workers

        serve_with_workers(config, on_ready)
