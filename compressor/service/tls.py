"""TLS of a gRPC port. Its certificates can be replaced while it serves: each handshake uses the latest ones."""

import threading
from typing import Any

import grpc

from compressor import credentials
from compressor.errors import SettingsError


class ServerTls:
    """The certificates of a port: its own, and with `client_ca` the authorities of its clients' certificates.

    expiry  of the certificate that ends first, in seconds since 1970
    """

    def __init__(self, cert: str | None, key: str | None, client_ca: str | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._lock = threading.Lock()
        self._latest: grpc.ServerCertificateConfiguration | None = None  # that gRPC has not taken yet
        self.expiry = 0.0

    @property
    def paths(self) -> list[str]:
        """Return the files."""
        return [path for path in (self._cert, self._key, self._client_ca) if path is not None]

    def load(self) -> None:
        """Read and check the files. Raise SettingsError, and keep the present certificates, if they can't be used."""
        own = credentials.read_identity(self._cert, self._key)
        if own is None:
            raise SettingsError("tls_client_ca", "needs tls_cert and tls_key: without them the port does not speak TLS")
        authority = None if self._client_ca is None else credentials.read_authorities("tls_client_ca", self._client_ca)
        latest = grpc.ssl_server_certificate_configuration([(own.key, own.chain)], authority)
        with self._lock:
            self._latest, self.expiry = latest, own.expiry

    def credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of the port. Call it once, after `load`."""
        latest = self._take()
        assert latest is not None
        fetch: Any = self._take  # None says that there is nothing new, which the types of gRPC leave out
        return grpc.dynamic_ssl_server_credentials(latest, fetch, self._client_ca is not None)

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        """Return certificates that gRPC does not have yet; called at each handshake, on a thread of gRPC's."""
        with self._lock:
            latest, self._latest = self._latest, None
        return latest
