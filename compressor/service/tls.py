"""TLS of the ports of gRPC and HTTP. Certificates can be replaced at any time: each handshake uses the latest ones."""

import ssl
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
        self._context: ssl.SSLContext | None = None
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
        context = self._made_context()
        with self._lock:
            self._latest, self._context, self.expiry = latest, context, own.expiry

    def _made_context(self) -> ssl.SSLContext:
        """Return the certificates for Python's TLS, of files that have been checked."""
        assert self._cert is not None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self._cert, self._key)
            if self._client_ca is not None:
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self._client_ca)
        except OSError as error:  # they have just been changed, or it is a kind that only gRPC can use
            raise SettingsError("tls_cert", f"{self._cert}: can't be used: {error}") from None
        return context

    def context(self) -> ssl.SSLContext:
        """Return the TLS of an HTTP port. Call it after `load`."""
        context = self._made_context()
        context.sni_callback = self._use_latest
        return context

    def _use_latest(self, connection: "ssl.SSLObject | ssl.SSLSocket", name: str | None, context: object) -> None:
        """Use the latest certificates for a connection; called at each handshake, whether or not it names a host."""
        with self._lock:
            assert self._context is not None
            connection.context = self._context

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
