"""The HTTP endpoints /metrics for Prometheus, /healthz (the process is alive) and /readyz (it can do its work)."""

import logging
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

log = logging.getLogger(__name__)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = 10  # seconds for a request to arrive

    def log_message(self, format: str, *args: Any) -> None:
        log.debug(format, *args)


class Admin:
    """A small HTTP server in threads of its own, listening on `port`.

    metrics  WSGI application that answers scrapes
    """

    def __init__(
        self, host: str, port: int, metrics: Callable[..., Iterable[bytes]], ready: Callable[[], bool]
    ) -> None:
        self._metrics = metrics
        self._ready = ready
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_Handler)
        self.port: int = self._server.server_port
        threading.Thread(target=self._server.serve_forever, name="admin", daemon=True).start()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return self._metrics(environ, start_response)
            case "/healthz":
                status, text = "200 OK", "alive"
            case "/readyz":
                status, text = ("200 OK", "ready") if self._ready() else ("503 Service Unavailable", "not ready")
            case _:
                status, text = "404 Not Found", "/metrics /healthz /readyz"
        start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
