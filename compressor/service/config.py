"""The configuration of a server. It imports no gRPC, which a process without calls does not need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from compressor.errors import SettingsError
from compressor.footprint import Basis
from compressor.service import limits
from compressor.spool_directory import SpoolDirectory

# Values of numbers that are no numbers.
OTHER_VALUES: Mapping[str, tuple[object, ...]] = {"spool_budget": (None, "auto"), "max_calls_per_peer": (None,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """The configuration of a server. Raises SettingsError for values outside `limits`.

    workers               processes that serve calls; 1: this one
    address               host:port of gRPC; port 0 takes a free one
    http_address          host:port of the HTTP front end; None: not served
    http_page             serve a page for people there, too
    metrics_address       host:port of /metrics, /healthz and /readyz; None: not served
    memory_budget         bytes that all calls together may reserve
    spool_dir             directory of spool files; None: /var/tmp or the system's temporary directory
    spool_budget          bytes of all spools together; "auto": half of what is free on the disk; None: no limit
    window_bytes          HTTP/2 window of a call: bytes received ahead of the reader. Limits a call to window / RTT
    header_seconds        for the header of an image to arrive
    idle_seconds          end a call whose client neither sends nor reads for this long
    min_bytes_per_second  that a client sends, and reads, on average; it may be `idle_seconds` late
    max_call_seconds      from the start of a call to its end
    queue_seconds         refuse a call if those before it are expected to keep the cores busy for longer
    max_concurrent_calls  calls that are open at a time, in each worker
    max_calls_per_peer    of them, those of one address; None: no limit
    max_connections       to each worker
    drain_seconds         from NOT_SERVING to rejecting calls, so that load balancers can react
    grace_seconds         for running calls to end when the server stops
    tls_*                 PEM files; with `tls_client_ca` clients must present a certificate. The server starts only if
                          all of them are complete, valid now and match each other
    token_file            tenants, with the hashes of their bearer tokens and their quotas (`tenants`); a call without a
                          known token is UNAUTHENTICATED
    reflection            whether clients may ask for the services: "on", "token": only with a token, "off"; None:
                          "token" with `token_file`, else "on"
    formats               formats of source files that are decoded; None: all
    log_format            text, json or logfmt
    log_level             debug, info, warning or error
    footprint             basis of the estimates of energy and carbon
    """

    workers: int = 1
    address: str = "127.0.0.1:50051"
    http_address: str | None = None
    http_page: bool = False
    metrics_address: str | None = "127.0.0.1:9464"
    memory_budget: int = 256 << 20
    spool_dir: str | None = None
    spool_budget: int | Literal["auto"] | None = "auto"
    window_bytes: int = 128 << 10
    header_seconds: float = 30.0
    idle_seconds: float = 60.0
    min_bytes_per_second: int = 1024
    max_call_seconds: float = 3600.0
    queue_seconds: float = 5.0
    max_concurrent_calls: int = 256
    max_calls_per_peer: int | None = None
    max_connections: int = 1024
    drain_seconds: float = 2.0
    grace_seconds: float = 30.0
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_client_ca: str | None = None
    token_file: str | None = None
    reflection: Literal["on", "token", "off"] | None = None
    formats: tuple[str, ...] | None = None
    log_format: str = "text"
    log_level: str = "info"
    footprint: Basis = field(default_factory=Basis)

    def __post_init__(self) -> None:
        for name in limits.LIMITS:
            value = getattr(self, name)
            if value not in OTHER_VALUES.get(name, ()):
                limits.check_number(name, value)
        limits.check_window(self.window_bytes, self.memory_budget)
        limits.check_address("address", self.address)
        if self.http_address is not None:
            limits.check_address("http_address", self.http_address)
        if self.http_page and self.http_address is None:
            raise SettingsError("http_page", "needs http_address")
        if self.metrics_address is not None:
            limits.check_address("metrics_address", self.metrics_address)
        if self.formats is not None:
            object.__setattr__(self, "formats", limits.checked_formats(self.formats))
        if self.reflection not in (None, "on", "token", "off"):
            raise SettingsError("reflection", f"is {self.reflection!r}, must be on, token or off")
        if self.reflection == "token" and self.token_file is None:
            raise SettingsError("reflection", "is token, and needs token_file")


def spool_budget_of(config: ServerConfig) -> int | None:
    """Return the bytes of the spool budget; None: no limit. Raise SettingsError if the directory can't be used."""
    if config.spool_budget == "auto":
        return SpoolDirectory(config.spool_dir).default_budget()
    return config.spool_budget


class Listening(Protocol):
    """A server that listens on these ports; `http_port` and `metrics_port` are None if they are not served."""

    @property
    def port(self) -> int: ...
    @property
    def http_port(self) -> int | None: ...
    @property
    def metrics_port(self) -> int | None: ...
