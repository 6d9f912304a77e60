"""`compressor unarchive`."""

import contextlib
import importlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from compressor.cli import options as opt
from compressor.cli import output
from compressor.cli.compress import Service, output_of, with_footprint, write_result
from compressor.cli.errors import one_line_errors
from compressor.cli.output import STANDARD


def unarchive(
    source: opt.In,
    out: opt.UnarchiveOut = None,
    server: opt.ServerOption = None,
    tls_ca: opt.TlsCa = None,
    tls_cert: opt.TlsCert = None,
    tls_key: opt.TlsKey = None,
    token_file: opt.ClientTokenFile = None,
    force: opt.Force = False,
    json: opt.Json = False,
) -> None:
    """Make the JPEG of an archive again, byte for byte.

    An archive is a JPEG XL file that compress --archive, or another program, has made of a JPEG without loss.
    """
    with one_line_errors():
        out = output_of(source, out, json)
        if server is None:
            importlib.import_module("compressor.pipeline")
        start = time.perf_counter()
        service = None if server is None else (server, opt.access(tls_ca, tls_cert, tls_key, token_file))
        report, name = write_result(
            source,
            out,
            lambda chunks: unarchived_stream(chunks, service),
            lambda _: output.unarchived_target(source, out),
            force,
        )
        report = with_footprint(report)
        if json:
            typer.echo(output.record_as_json(report))
            return
        from rich.console import Console

        console = output.error_console() if name == STANDARD else Console(highlight=False)
        output.print_unarchived(console, (source, name), report, time.perf_counter() - start)


@contextlib.contextmanager
def unarchived_stream(chunks: Iterable[bytes], service: Service | None) -> Iterator[Any]:
    """Yield an iterator of the chunks of the JPEG with a `.report` after the last one."""
    if service is None:
        from compressor import pipeline

        with pipeline.unarchive_stream(chunks) as stream:
            yield stream
    else:
        from compressor.client import connect

        with connect(*service) as client, client.unarchive_stream(chunks) as stream:
            yield stream
