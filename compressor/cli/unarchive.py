"""`compressor unarchive`."""

import contextlib
import importlib
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import typer

from compressor.cli import options as opt
from compressor.cli import output
from compressor.cli.errors import one_line_errors
from compressor.cli.one_image import Service, write_result, write_stream
from compressor.cli.options import UsageError
from compressor.cli.output import STANDARD
from compressor.cli.result_files import NewFile


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
    with one_line_errors("" if source == STANDARD else source):
        out = STANDARD if source == STANDARD and out is None else out
        if out == STANDARD and (json or output.is_terminal()):
            raise UsageError("the image can't go to standard output with --json, or to a terminal; give -o FILE")
        if server is None:
            importlib.import_module("compressor.pipeline")
        start = time.perf_counter()
        service = None if server is None else (server, opt.access(tls_ca, tls_cert, tls_key, token_file))

        def open_stream(chunks: Iterable[bytes]) -> AbstractContextManager[Any]:
            return unarchived_stream(chunks, service)

        with output.Bar("stdin" if source == STANDARD else Path(source).name, None) as bar:
            if out is not None and output.is_stream(out):
                report, name = write_stream(source, open_stream, out, bar.watch), out
            else:
                result = NewFile(source, lambda _: output.unarchived_target(source, out), force)
                written = write_result(source, open_stream, result, bar.watch)
                report, name = written.report, written.name(source)
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
