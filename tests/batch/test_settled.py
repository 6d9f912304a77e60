"""A repeated run with other options does what those options allow now, and nothing else."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from compressor import pipeline
from compressor.batch import run as running
from compressor.batch import work
from compressor.batch.job import Job
from compressor.errors import CallError, UnsupportedError
from compressor.settings import Metadata, Settings
from compressor.stores.contract import Attributes
from tests.batch.support import Inline, Memory, jpeg, run_of

STRIP = Job(source="a", target="b", settings=Settings(min_saving=0.05, metadata=Metadata.STRIP))
BROKEN = jpeg(3)[:900]


def totals_of(job: Job, source: Memory, target: Memory, tmp_path) -> dict[tuple[str, str], int]:  # type: ignore[no-untyped-def]
    _, totals, _ = run_of(job, source, target, tmp_path / "ledger")
    return totals


def gif() -> bytes:
    sink = io.BytesIO()
    Image.new("L", (9, 9)).save(sink, "GIF")
    return sink.getvalue()


def operations_of(job: Job, source: Memory, target: Memory, tmp_path) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    """Return the operations of another run."""
    engine = Inline(job, source, target)
    run_of(job, source, target, tmp_path / "ledger", engine=engine)
    return engine.log


def test_overwrite_replaces_objects_that_were_skipped_before(tmp_path: Path) -> None:
    job = Job(source="a", target="b")
    source, target = Memory({"1.jpg": jpeg(1), "2.jpg": jpeg(2)}), Memory({"1.jpg": b"something else"})
    assert totals_of(job, source, target, tmp_path) == {("compressed", ""): 1, ("skipped", "exists_at_destination"): 1}

    job = dataclasses.replace(job, overwrite=True)
    assert operations_of(job, source, target, tmp_path) == [("prepare", "1.jpg"), ("commit", "1.jpg")]
    assert len(target.data()["1.jpg"]) > 100
    assert operations_of(job, source, target, tmp_path) == []


@pytest.mark.parametrize("patterns, kinds", [((), {"a.jpg", "b.png"}), (("image/png",), {"b.png"}), (("x/*",), set())])
def test_another_content_type_includes_objects_that_were_filtered_before(
    patterns: Any, kinds: Any, tmp_path: Path
) -> None:
    source, target = Memory(), Memory()
    for key, kind in (("a.jpg", "image/jpeg"), ("b.png", "image/png")):
        source.put(key, jpeg(1), Attributes(headers={"content-type": kind}))
    job = Job(source="a", target="b", content_types=("text/*",))
    assert totals_of(job, source, target, tmp_path) == {("skipped", "filtered"): 2}

    operations_of(dataclasses.replace(job, content_types=patterns), source, target, tmp_path)
    assert target.data().keys() == kinds


def test_copy_unstrippable_copies_broken_images_that_failed_before(tmp_path: Path) -> None:
    source, target = Memory({"a.jpg": jpeg(1), "broken.jpg": BROKEN}), Memory()
    assert totals_of(STRIP, source, target, tmp_path) == {("compressed", ""): 1, ("failed", "broken_image"): 1}
    assert target.data().keys() == {"a.jpg"}

    job = dataclasses.replace(STRIP, copy_unstrippable=True)
    assert operations_of(job, source, target, tmp_path) == [("prepare", "broken.jpg"), ("commit", "broken.jpg")]
    assert target.data()["broken.jpg"] == BROKEN
    assert operations_of(job, source, target, tmp_path) == []


def test_an_object_is_not_written_until_a_service_can_compress_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next run would skip it, because it exists at the destination."""
    monkeypatch.setattr(running, "BACK_OFF_SECONDS", 0.001)
    job, source, target = Job(source="a", target="b"), Memory({"1.jpg": jpeg(1)}), Memory()
    with monkeypatch.context() as unavailable:
        calls = []

        def refuse(*_: object, **__: object) -> None:
            calls.append(1)
            raise CallError("UNAVAILABLE", "Connection refused")

        unavailable.setattr(pipeline, "stream", refuse)
        assert totals_of(job, source, target, tmp_path) == {("failed", "unavailable"): 1}
    assert not target.data() and len(calls) == running.TRIES_MAX

    assert totals_of(job, source, target, tmp_path) == {("compressed", ""): 1}
    assert len(target.data()["1.jpg"]) < len(source.data()["1.jpg"])


@pytest.mark.parametrize("in_place", [True, False])
def test_an_unstrippable_object_is_processed_again_when_the_option_changes(
    in_place: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnsupportedError("GIF: can't be stripped")

    monkeypatch.setattr(pipeline, "stream", refuse)
    monkeypatch.setattr(work, "without_metadata", refuse)
    source = Memory({"a.gif": gif()})
    target = source if in_place else Memory()
    job = dataclasses.replace(STRIP, in_place=in_place, target="a" if in_place else "b")
    allowing = dataclasses.replace(job, copy_unstrippable=True)
    failed, accepted = {("failed", "unstrippable"): 1}, {("kept" if in_place else "copied", "unstrippable"): 1}

    assert totals_of(job, source, target, tmp_path) == failed
    assert totals_of(allowing, source, target, tmp_path) == accepted
    assert operations_of(allowing, source, target, tmp_path) == []
    assert totals_of(job, source, target, tmp_path) == failed
    assert operations_of(job, source, target, tmp_path) == []
