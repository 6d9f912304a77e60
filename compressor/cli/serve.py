"""`compressor serve`, and the commands for its operators: `health` and `token`."""

import sys
from typing import Annotated

import typer

from compressor.cli import options as opt
from compressor.cli.basis import (
    BASIS,
    BasisProfile,
    BasisStorage,
    Grid,
    OriginalsDeleted,
    RegionOption,
    ReservedVcpus,
    basis_of,
)
from compressor.cli.errors import one_line_errors


def serve(
    workers: opt.ServeWorkers = 1,
    address: opt.Address = "127.0.0.1:50051",
    http_address: opt.HttpAddress = None,
    http_page: opt.HttpPage = False,
    metrics_address: opt.MetricsAddress = "127.0.0.1:9464",
    memory_budget: opt.MemoryBudget = 256 << 20,
    spool_dir: opt.SpoolDir = None,
    spool_budget: opt.SpoolBudgetOption = "auto",
    window_bytes: opt.WindowBytes = 128 << 10,
    header_seconds: opt.HeaderSeconds = 30.0,
    idle_seconds: opt.IdleSeconds = 60.0,
    min_bytes_per_second: opt.MinBytesPerSecond = 1024,
    max_call_seconds: opt.MaxCallSeconds = 3600.0,
    queue_seconds: opt.QueueSeconds = 5.0,
    max_concurrent_calls: opt.MaxConcurrentCalls = 256,
    max_calls_per_peer: opt.MaxCallsPerPeer = None,
    max_connections: opt.MaxConnections = 1024,
    drain_seconds: opt.DrainSeconds = 2.0,
    grace_seconds: opt.GraceSeconds = 30.0,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    tls_client_ca: opt.TlsClientCa = None,
    token_file: opt.TokenFile = None,
    reflection: opt.ReflectionOption = None,
    formats: opt.Formats = None,
    log_format: opt.LogFormat = "text",
    log_level: opt.LogLevel = "info",
    profile: BasisProfile = None,
    storage: BasisStorage = None,
    originals_deleted: OriginalsDeleted = False,
    region: RegionOption = None,
    grid: Grid = None,
    reserved_vcpus: ReservedVcpus = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    options = dict(locals())
    with one_line_errors():
        from compressor.service.config import Listening, ServerConfig
        from compressor.service.log_format import log_to_stderr
        from compressor.service.serve import serve as run_service

        log_to_stderr(log_format, log_level)

        def print_address(server: Listening) -> None:
            host = address.rpartition(":")[0]
            scheme = "http" if tls_cert is None else "https"
            http = "" if http_address is None else f", HTTP on {scheme}://{http_address.rpartition(':')[0]}"
            http += f":{server.http_port}" if http else ""
            metrics = "" if metrics_address is None else f", metrics on http://{metrics_address.rpartition(':')[0]}"
            metrics += f":{server.metrics_port}/metrics" if metrics else ""
            typer.echo(f"serving on {host}:{server.port}{http}{metrics}")
            sys.stdout.flush()

        footprint = basis_of({name: options.pop(name) for name in BASIS})
        options["formats"] = opt.formats_of(formats)
        run_service(ServerConfig(**options, footprint=footprint), on_ready=print_address)


def health(
    address: opt.Address = "127.0.0.1:50051",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for a response.")] = 3.0,
    tls_ca: opt.TlsCa = None,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    token_file: opt.ClientTokenFile = None,
) -> None:
    """Check whether a service accepts requests.

    The exit code is 0 if it does, else 1. With --tls-cert and --tls-key but without --tls-ca, the service must present
    that same certificate: a probe on the same machine can use the service's own settings.
    """
    with one_line_errors():
        from compressor import client

        serving = client.health(address, timeout, opt.access(tls_ca, tls_cert, tls_key, token_file))
        typer.echo(f"{address}: {'serving' if serving else 'not serving'}", err=not serving)
        raise typer.Exit(0 if serving else 1)


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the tenant that gets the token.")],
) -> None:
    """Make a bearer token for a tenant of the service.

    Standard output gets the line for the service's --token-file, which has only a hash of the token. Standard error
    gets the token itself, which can't be shown again: compressor token NAME >> tokens 2> NAME.token
    """
    with one_line_errors():
        from compressor.service import tenants

        made = tenants.new_token()
        typer.echo(tenants.line_of(name, made))
        typer.echo(made, err=True)
