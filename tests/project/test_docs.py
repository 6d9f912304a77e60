"""Documentation of commands, options, RPCs, metrics and settings in README.md or docs/."""

import dataclasses
import re
from collections.abc import Iterator
from fnmatch import filter as filter_names
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
import typer
from google.protobuf.descriptor import FileDescriptor
from prometheus_client import generate_latest

from compressor.cli.app import app, commands_of
from compressor.exporter.accounting import Readings
from compressor.footprint import Accrued, Basis
from compressor.metrics import Estimates, ExporterMetrics, Metrics, batch_metrics
from compressor.report.summary import Summary
from compressor.service.config import ServerConfig
from compressor.settings import Report, Settings
from compressor.v1 import compressor_pb2
from tests import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)


def code_of(pages: list[Path]) -> str:
    """Return the code spans and code blocks: a sentence about quality does not document `quality`."""
    return "\n".join(found for page in pages for found in CODE.findall(page.read_text()))


DOCUMENTED = code_of(PAGES)


def is_documented(name: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", DOCUMENTED) is not None


def commands() -> dict[str, Any]:
    """Return Click's commands by name. The root, which has options too, has the empty string."""
    root: Any = typer.main.get_command(app)
    return {"": root, **dict(commands_of(root))}


def flags() -> Iterator[str]:
    """Yield `command --flag` for every long option, except those that Typer adds to every program."""
    for name, command in commands().items():
        for parameter in command.params:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                if flag.startswith("--") and flag not in ("--help", "--install-completion", "--show-completion"):
                    yield f"{name} {flag}".strip()


def methods(file: FileDescriptor) -> list[str]:
    return [f"{service.name}.{method.name}" for service in file.services_by_name.values() for method in service.methods]


def metrics() -> list[str]:
    """Return the names in /metrics, except those that the client library derives (`…_created`)."""
    request: dict[str, object] = {}
    setup_testing_defaults(request)
    page = b"".join(Metrics().wsgi(request, lambda status, headers: None)).decode()
    run = Summary(source="", target="", mode="copy", settings=Settings(), started=0, ended=1, wall_seconds=1)
    page += generate_latest(batch_metrics(run)).decode()
    basis = Basis(storage_class="hdd-3az", originals_deleted=True, network="fixed", region="us-east-1")
    server, energy = Metrics(), Accrued(basis).amounts
    server.watch_memory(1, lambda: 1, lambda: 1.0)
    server.watch_spool(1, lambda: 1, lambda: 1, lambda: 0)
    server.watch_certificate(lambda: 1.0)
    server.watch_energy(lambda: 1.0)
    server.estimate(Estimates("1", lambda: energy, basis.gauges(), basis.info()), 1.0)
    page += b"".join(server.wsgi(request, lambda status, headers: None)).decode()
    page += b"".join(ExporterMetrics(Readings).wsgi(request, lambda status, headers: None)).decode()
    names = re.findall(r"^# TYPE (compressor_\w+) ", page, re.MULTILINE)
    # A metric for each coefficient of the model, which are documented together.
    coefficient = re.compile(r"compressor_coefficient_\w+_(low|central|high)_\w+")
    return [name for name in dict.fromkeys(names) if not name.endswith("_created") and not coefficient.fullmatch(name)]


@pytest.mark.parametrize("command", [name for name in commands() if name])
def test_every_command_is_documented(command: str) -> None:
    assert is_documented(f"compressor {command}")


@pytest.mark.parametrize("flag", list(flags()))
def test_every_flag_is_documented(flag: str) -> None:
    assert is_documented(flag.split()[-1])


@pytest.mark.parametrize("method", methods(compressor_pb2.DESCRIPTOR))
def test_every_rpc_is_documented(method: str) -> None:
    assert is_documented(method) or is_documented(method.replace(".", "/"))


@pytest.mark.parametrize("metric", metrics())
def test_every_metric_is_documented(metric: str) -> None:
    assert is_documented(metric)


@pytest.mark.parametrize("kind", [Settings, Report, ServerConfig], ids=lambda kind: str(kind.__name__))
def test_every_setting_and_every_field_of_a_report_is_documented(kind: type) -> None:
    """A setting of the server may be documented as its flag instead."""
    names = [field.name for field in dataclasses.fields(kind)]

    assert [n for n in names if not is_documented(n) and not is_documented(f"--{n.replace('_', '-')}")] == []


@pytest.mark.parametrize("variable", ["COMPRESSOR_KERNELS", "NUMBA_CACHE_DIR"])
def test_every_variable_without_an_option_is_documented(variable: str) -> None:
    assert is_documented(variable)


def test_links_between_pages_have_targets() -> None:
    pages = [*PAGES, *ROOT.glob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())]

    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_the_search_finds_known_names() -> None:
    """The search itself is checked, with names that exist in every version."""
    assert "compress --quality" in list(flags())
    assert "CompressorService.Compress" in methods(compressor_pb2.DESCRIPTOR)
    assert {"compressor_requests_total", "compressor_batch_objects_total", "compressor_feed_events_total"} <= set(
        metrics()
    )


def test_the_architecture_names_every_file_of_the_package_and_no_other() -> None:
    """A folder that the page names as a whole, such as `raster/`, covers its files."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    patterns = [f"{name}*" if name.endswith("/") else name for name in re.findall(r"`([a-z0-9_/*]+(?:\.py|/))`", page)]
    package = ROOT / "compressor"
    files = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    modules = {file for file in files if not file.endswith(("__init__.py", "__main__.py"))}
    missing = {pattern for pattern in patterns if not filter_names(files, pattern)}

    assert {file for file in modules if not any(fnmatch(file, pattern) for pattern in patterns)} == set()
    assert {pattern for pattern in missing if not (ROOT / pattern.rstrip("*")).exists()} == set()
