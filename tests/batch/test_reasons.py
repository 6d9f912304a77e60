"""The reason of each object that a run leaves as it is: what was done with it, and not only that it is no smaller."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from compressor import pipeline
from compressor.batch.job import Job
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Metadata, Settings
from tests.batch.support import Memory, jpeg, picture, run_of
from tests.metadata.test_edges import file
from tests.planted.jpeg import credentials


def saved(format: str, frames: int = 1, **options: Any) -> bytes:
    sink = io.BytesIO()
    first, *others = [Image.fromarray(picture(seed)) for seed in range(frames)]
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(sink, format, **more, **options)
    return sink.getvalue()


MADE = pipeline.compress(jpeg(1), target_score=60, effort="fast").data


@pytest.mark.parametrize(
    "name, data, settings, reason, error",
    [
        ("a.gif", saved("GIF"), {}, "not_reencoded", "unless another format is requested"),
        ("a.webp", saved("WEBP", quality=60), {}, "not_reencoded", "unless another format is requested"),
        ("a.png", saved("PNG", frames=2), {}, "not_reencoded", "an animated PNG is returned unchanged"),
        (
            "a.webp", saved("WEBP", quality=60), {"format": "webp", "effort": Effort.BALANCED}, "lossy_already",
            "would lose quality a second time",
        ),
        (
            "a.webp", saved("WEBP", quality=60), {"format": "webp", "quality": 59, "min_saving": 0.0}, "lossy_already",
            "another lossy encoding would save less than a quarter",
        ),
        ("a.jpg", MADE, {"target_score": 60}, "made_before", "made by compressor before"),
        (
            "a.jpg", file(credentials("manifest")), {"content_credentials": "unchanged", "metadata": "keep"},
            "content_credentials", "has content credentials",
        ),
        ("a.jpg", pipeline.compress(jpeg(9), quality=40).data, {}, "not_smaller", "not smaller"),
        ("a.txt", b"text", {}, "not_an_image", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("metadata", ["keep", "color"])
def test_the_ledger_says_why_an_object_was_copied(
    name: str, data: bytes, settings: dict[str, Any], reason: str, error: str, metadata: str, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"min_saving": 0.05, "effort": Effort.FAST, "metadata": metadata}
    job = Job(source="a", target="b", settings=Settings(**changes | settings))
    target = Memory()

    _, totals, _ = run_of(job, Memory({name: data}), target, tmp_path / "ledger")

    assert totals == {("copied", reason): 1} and target.data() == {name: data}
    with Ledger(tmp_path / "ledger") as ledger:
        (done,) = ledger.objects()
    assert error in done.error


def test_an_object_that_loses_only_its_metadata_keeps_the_reason(tmp_path: Path) -> None:
    data = saved("GIF", comment=b"who took it")
    job = Job(source="a", target="b", settings=Settings(metadata=Metadata.STRIP))
    target = Memory()

    _, totals, _ = run_of(job, Memory({"a.gif": data}), target, tmp_path / "ledger")

    assert totals == {("stripped", "not_reencoded"): 1}
    assert b"who took it" in data and b"who took it" not in target.data()["a.gif"]
