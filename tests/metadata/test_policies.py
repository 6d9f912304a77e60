"""A metadata policy applies to every format, outcome and interface: no mark is left that it does not allow.

Planted files have a mark in every place where their format can hold metadata. docs/metadata.md has the table of what
each policy leaves in a file that is returned unchanged; UPDATE_DOCS=1 writes it.
"""

import importlib
import io
import itertools
import json
import os
import warnings
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from compressor import pipeline
from compressor.batch.job import Job
from compressor.calls.codec import pipeline_codec
from compressor.client import Client
from compressor.errors import CompressorError, UnsupportedError
from compressor.humanize import human_format
from compressor.ledger.ledger import Ledger
from compressor.memory import Resources
from compressor.metadata import orientation
from compressor.raster import reader
from compressor.settings import Metadata, Settings
from tests import ROOT
from tests.batch.support import Memory, run_of
from tests.cli.fakes import run as run_command
from tests.planted import FORMATS, MODULES, Planted, marks_in
from tests.service.running import Running

FILES = [file for module in MODULES for file in importlib.import_module(f"tests.planted.{module}").files()]
PAGE = ROOT / "docs" / "metadata.md"
SUFFIX_MAX = 8


class Result(StrEnum):
    """The outcome for a file."""

    LOSSY = "lossy"
    LOSSLESS = "lossless"
    UNCHANGED = "unchanged"


class EntryPoint(StrEnum):
    """The interface that a file is sent through."""

    PYTHON = "python"
    COMMAND = "command"
    SERVICE = "service"
    BATCH_COPY = "batch copy"
    BATCH_IN_PLACE = "batch in place"


ENTRY_POINTS = [EntryPoint.PYTHON, EntryPoint.COMMAND, EntryPoint.SERVICE]
BATCH = [EntryPoint.BATCH_COPY, EntryPoint.BATCH_IN_PLACE]
# Formats that are detected, but whose samples are not decoded.
NOT_READ = {"heif", "jxl"}
# Settings besides the policy, by result and source format; other formats use the default.
LOSSY: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 50},
    "webp": {"format": "webp", "quality": 50},
    "avif": {"format": "avif", "quality": 50},
}
LOSSLESS: dict[str, dict[str, Any]] = {
    "jpeg": {"lossless": True},
    "png": {"lossless": True},
    "webp": {"format": "webp", "lossless": True},
}
WHITE = (255, 255, 255)


def settings_of(file: Planted, policy: Metadata, result: Result) -> dict[str, Any]:
    """Return settings with which the file has this outcome."""
    if result is Result.UNCHANGED or file.format in NOT_READ:
        return {"metadata": policy, "min_saving": 0.99}
    if result is Result.LOSSY:
        chosen = LOSSY.get(file.format, {"format": "jpeg", "quality": 50, "background": WHITE})
    else:
        chosen = LOSSLESS.get(file.format, {"format": "png", "lossless": True})
    return {"metadata": policy, **chosen}


def may_be_refused(file: Planted, result: Result) -> bool:
    """Return whether a file of several frames or pages can't be made another format, nor CMYK a lossless one."""
    several = any(word in file.name for word in ("animated", "pages", "frames", "film"))
    converted = "cmyk" in file.name and result is Result.LOSSLESS
    return (several and result is not Result.UNCHANGED) or converted


def check(file: Planted, policy: Metadata, data: bytes, notices: tuple[str, ...]) -> None:
    left = marks_in(file, data)
    if policy is Metadata.STRIP:
        assert left == set()
    elif policy is Metadata.COLOR:
        assert left <= file.color
    else:
        lost = set(file.marks) - left
        assert not lost or notices, f"lost without a notice: {sorted(lost)}"
    if file.format not in NOT_READ:
        assert shown_orientation(data) == shown_orientation(file.data)


def shown_orientation(data: bytes) -> int:
    """Return the orientation in which a viewer displays an image, as our reader and Pillow report it."""
    opened = reader.open(io.BytesIO(data))
    try:
        return orientation(opened.metadata.exif)
    finally:
        opened.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with Running(pipeline_codec(Resources(memory_budget=256 << 20, overhead=1 << 20))) as running:
        yield running


@pytest.fixture
def through(
    server: Running, tmp_path: Path
) -> Callable[[EntryPoint, bytes, dict[str, Any]], tuple[bytes, tuple[str, ...]]]:
    """Return a function that sends a file through an entry point and returns the result and its notices."""

    def send(entry_point: EntryPoint, data: bytes, settings: dict[str, Any]) -> tuple[bytes, tuple[str, ...]]:
        if entry_point is EntryPoint.PYTHON:
            result = pipeline.compress(data, **settings)
            return result.data, result.report.notices
        if entry_point is EntryPoint.SERVICE:
            with Client(server.address, timeout=60) as client:
                answer = client.compress(data, **settings)
                return answer.data, answer.report.notices
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(data)
        words: list[str] = []
        for name, value in settings.items():
            flag = "--" + name.replace("_", "-")
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [flag] if value is True else [flag, text]
        command = ("compress", str(source), "-o", str(target), "--force", "--json", *words)
        try:
            shown, _ = run_command(*command)
        except AssertionError as error:
            raise UnsupportedError(str(error)) from None
        return target.read_bytes(), tuple(json.loads(shown)["notices"])

    return send


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
@pytest.mark.parametrize("policy", Metadata)
@pytest.mark.parametrize("result", Result)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_mark_is_left_that_the_policy_does_not_allow(
    through: Callable[[EntryPoint, bytes, dict[str, Any]], tuple[bytes, tuple[str, ...]]],
    file: Any,
    result: Any,
    policy: Any,
    entry_point: Any,
) -> None:
    assert marks_in(file, file.data) == set(file.marks), "the marks are seen in the source"

    try:
        data, notices = through(entry_point, file.data, settings_of(file, policy, result))
    except UnsupportedError:
        assert may_be_refused(file, result), "refused"
        return
    check(file, policy, data, notices)


@pytest.mark.parametrize("entry_point", BATCH)
@pytest.mark.parametrize("policy", Metadata)
@pytest.mark.parametrize("result", Result)
def test_a_batch_run_leaves_no_mark_that_the_policy_does_not_allow(
    tmp_path: Path, result: Any, policy: Any, entry_point: Any
) -> None:
    source = Memory({file.name: file.data for file in FILES})
    in_place = entry_point is EntryPoint.BATCH_IN_PLACE
    target = source if in_place else Memory()
    chosen = Settings(
        metadata=policy, quality=50, lossless=result is Result.LOSSLESS,
        min_saving=0.99 if result is Result.UNCHANGED else 0.05,
    )  # fmt: skip
    job = Job(source="a", target="a" if in_place else "b", in_place=in_place, keep=None, settings=chosen)

    whole, totals, _ = run_of(job, source, target, tmp_path / "ledger")

    assert whole and set(target.data()) == {file.name for file in FILES}
    assert {outcome for outcome, _ in totals} <= {"compressed", "stripped", "copied", "kept"}
    with Ledger(tmp_path / "ledger") as ledger:
        notices = {done.key: done.notices for done in ledger.objects()}
    for file in FILES:
        check(file, policy, target.data()[file.name], notices[file.name])


def test_every_format_and_entry_point_is_tested() -> None:
    """Every detected format, policy, result and entry point."""
    assert {file.format for file in FILES} == set(FORMATS)
    assert {*ENTRY_POINTS, *BATCH} == set(EntryPoint)
    assert len({file.name for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", [file for file in FILES if file.format not in NOT_READ], ids=lambda file: file.name)
@pytest.mark.parametrize("policy", [Metadata.COLOR, Metadata.STRIP])
def test_a_reduced_file_has_the_same_samples(file: Any, policy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", "without-eoi" in file.name)
    made = pipeline.compress(file.data, metadata=policy, min_saving=0.99)

    assert made.report.outcome.value == "unchanged"
    assert made.report.reason.endswith("; metadata removed")
    again = pipeline.compress(made.data, metadata=policy, min_saving=0.99)
    assert again.data == made.data and "metadata removed" not in again.report.reason
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about an index of pictures that is broken
        before, after = (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) for data in (file.data, made.data))
    np.testing.assert_array_equal(before, after)


def table() -> str:
    """Return the table of what each policy leaves in a file that is returned unchanged."""
    rows: dict[tuple[str, str], list[bool]] = {}
    for file, policy in itertools.product(FILES, Metadata):
        data = pipeline.compress(file.data, metadata=policy, min_saving=0.99).data
        left = marks_in(file, data)
        for place in file.marks:
            rows.setdefault((file.format, place), [True] * len(Metadata))
            rows[file.format, place][list(Metadata).index(policy)] &= place in left
    groups: dict[tuple[str, tuple[bool, ...]], list[str]] = {}
    for (format, place), cells in rows.items():
        groups.setdefault((format, tuple(cells)), []).append(place)
    lines = ["| format | what | keep | color | strip |", "|---|---|---|---|---|"]
    for (format, left_by), places in groups.items():
        shown = " | ".join("kept" if cell else "–" for cell in left_by)
        lines.append(f"| {human_format(format)} | {', '.join(places)} | {shown} |")
    return "\n".join(lines) + "\n"


def test_the_page_has_the_table() -> None:
    heading = "## What is left in each format\n"
    text, _, shown = PAGE.read_text().partition(heading)
    intro, _, _ = shown.partition("| format | what |")
    made = table()
    if os.environ.get("UPDATE_DOCS"):
        PAGE.write_text(text + heading + intro + made)
        shown = intro + made

    assert shown == intro + made


def test_a_file_that_can_not_be_reduced_is_never_returned() -> None:
    """A broken container can't be reduced, so it is not returned either."""
    file = next(file for file in FILES if file.format == "gif")
    with pytest.raises(CompressorError):
        pipeline.compress(file.data[:20], metadata="strip")
