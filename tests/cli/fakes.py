"""A fake pipeline, and functions that run the command line."""

import os
import subprocess
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Self

from typer.testing import CliRunner

from compressor.cli import app as cli
from compressor.settings import Outcome, Report, Settings, Source
from compressor.settings import Path as Way
from tests import ROOT

MODULE = ["-m", "compressor.cli"]
RUNNER = CliRunner()


class FakeStream:
    """The result of the fake pipeline: every other byte of the input."""

    def __init__(self, chunks: Iterable[bytes], settings: Settings, changes: dict[str, object]) -> None:
        self._chunks = chunks
        self._changes = changes
        self.settings = settings
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        bytes_in = bytes_out = 0
        for chunk in self._chunks:
            bytes_in += len(chunk)
            bytes_out += len(chunk[::2])
            yield chunk[::2]
        if "raises" in self._changes:
            raise self._changes["raises"]  # type: ignore[misc]
        given = {
            "outcome": Outcome.COMPRESSED,
            "bytes_in": bytes_in,
            "bytes_out": bytes_out,
            "source_format": "jpeg",
            "format": "jpeg",
            "width": 4000,
            "height": 3000,
            "path": Way.COEFFICIENTS,
            "stage_seconds": {"decode": 0.25, "encode": 0.5},
        }
        self.report = Report(**(given | self._changes))  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class FakePipeline(types.ModuleType):
    """Replaces compressor.pipeline. `changes` are made to its reports; `streams` are those that were requested."""

    def __init__(self) -> None:
        super().__init__("compressor.pipeline")
        self.changes: dict[str, object] = {}
        self.streams: list[FakeStream] = []

    def stream(self, chunks: Iterable[bytes], settings: Settings, *, resources: object) -> FakeStream:
        self.streams.append(FakeStream(chunks, settings, self.changes))
        return self.streams[-1]

    def inspect(self, chunks: Iterable[bytes], settings: Settings) -> Source:
        assert b"".join(chunks)
        return Source(
            format="jpeg",
            description="baseline JPEG 4:2:0",
            width=4000,
            height=3000,
            channels=3,
            quality=92,
            reserved_bytes=9_500_000,
        )


def run(*words: str, code: int = 0, **more: object) -> tuple[str, str]:
    """Run a command that must exit with `code`; return its standard output and standard error."""
    result = RUNNER.invoke(cli.app, list(words), **more)  # type: ignore[arg-type]
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def process(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process that must exit with 0."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=ROOT)


def names() -> list[str]:
    return sorted(os.listdir())
