"""Who may call a service: the TLS and the tokens of its port, reloaded when their files change."""

import ssl
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from compressor.metrics import Metrics
from compressor.service.auth import HEALTH, REFLECTION, TokenInterceptor
from compressor.service.config import ServerConfig
from compressor.service.reload import Reloader, WatchedFiles
from compressor.service.tenants import Tenants
from compressor.service.tls import ServerTls


class PortAccess:
    """TLS, tokens and reflection of a port. Raises SettingsError if one of the files can't be used.

    on_rejected   called for each call that is rejected for want of a token, with the name of its method and its context

    credentials   None: the port speaks plaintext
    tenants       None: no call needs a token
    interceptors  of the gRPC server
    reflection    whether the services are described at all
    """

    def __init__(self, config: ServerConfig, metrics: Metrics, on_rejected: Callable[[str, Any], None]) -> None:
        files: list[WatchedFiles] = []
        self.credentials: grpc.ServerCredentials | None = None
        self.tenants: Tenants | None = None
        self.interceptors: Sequence[grpc.aio.ServerInterceptor] = ()
        self.reflection = config.reflection != "off"
        tls = self._tls = ServerTls(config.tls_cert, config.tls_key, config.tls_client_ca)
        if tls.paths:
            files.append(WatchedFiles("certificates", tls.paths, tls.load))
            self.credentials = tls.credentials()
            metrics.watch_certificate(lambda: tls.expiry)
        if config.token_file is not None:
            self.tenants = Tenants(config.token_file)
            files.append(WatchedFiles("tokens", [config.token_file], self.tenants.load))
            open_methods = (HEALTH, REFLECTION) if config.reflection == "on" else (HEALTH,)
            self.interceptors = [TokenInterceptor(self.tenants, open_methods, on_rejected)]
        self._reloader = Reloader(files, metrics.reloaded)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS of another port, with the same certificates; None: plaintext."""
        return self._tls.context() if self._tls.paths else None

    async def watch(self) -> None:
        """Read files again when they change, and when `reload` is called, until the task is cancelled."""
        await self._reloader.run()

    def reload(self) -> None:
        """Read all files again, soon. Call it in the event loop."""
        self._reloader.request()
