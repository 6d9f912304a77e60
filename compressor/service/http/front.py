"""The HTTP front end of a server, put together from its configuration."""

from collections.abc import Mapping

from compressor.calls.admission import Admission
from compressor.calls.call import Codec
from compressor.calls.threads import CallThreads
from compressor.errors import SettingsError
from compressor.service.access import PortAccess
from compressor.service.config import ServerConfig
from compressor.service.http.exchange import Handler
from compressor.service.http.image_requests import ImageRequests
from compressor.service.http.openapi import serve_openapi
from compressor.service.http.page import page_handlers
from compressor.service.http.routes import Routes
from compressor.service.observation import CallObserver
from compressor.service.servicer import CompressorService

try:
    from compressor.service.http.connection import ConnectionLimits
    from compressor.service.http.listener import HttpListener
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("uvicorn", "h11"):
        raise
    raise SettingsError("http_address", "needs an HTTP server: install 'compressor[http]'") from None


def open_http(
    config: ServerConfig,
    access: PortAccess,
    codec: Codec,
    observer: CallObserver,
    admission: Admission,
    threads: CallThreads,
    service: CompressorService,
) -> HttpListener:
    """Return the HTTP server of a configuration, which listens already. It shares everything with the gRPC service."""
    assert config.http_address is not None

    def note_activity() -> None:
        service.had_activity = True

    images = ImageRequests(codec, observer, config.footprint, admission, threads, access.tenants, note_activity)
    handlers: dict[str, Mapping[str, Handler]] = {
        "/v1/compress": {"POST": images.compress},
        "/v1/inspect": {"POST": images.inspect},
        "/v1/openapi.json": {"GET": serve_openapi},
    }
    if config.http_page:
        handlers |= page_handlers(needs_token=access.tenants is not None)
    routes = Routes(handlers, lambda: service.draining)
    limits = ConnectionLimits(config.max_connections, config.header_seconds)
    return HttpListener(config.http_address, routes.answer, limits, access.tls_context(), reuse_port=config.workers > 1)
