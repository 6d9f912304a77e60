"""The Celery example, without a broker: the task runs in this process."""

import json
from pathlib import Path
from typing import Any

import pytest

import compressor
from examples.celery_task import compress_file
from tests.pipeline.test_pipeline import encoded, photograph

JPEG = encoded(photograph(80, 120), "JPEG", quality=95)


def run(*arguments: Any) -> Any:
    """Run the task with arguments and a result that are JSON, as through a broker."""
    done = compress_file.apply(json.loads(json.dumps(arguments)), throw=True)
    return json.loads(json.dumps(done.get()))


def test_a_task_compresses_a_file_and_may_run_twice(tmp_path: Path) -> None:
    source, target = tmp_path / "photo.jpg", tmp_path / "smaller.jpg"
    source.write_bytes(JPEG)

    first = run(str(source), str(target), {"quality": 60})
    data = target.read_bytes()

    assert data == compressor.compress(JPEG, quality=60).data
    assert first == {"outcome": "compressed", "bytes_in": len(JPEG), "bytes_out": len(data)}
    assert run(str(source), str(target), {"quality": 60}) == first
    assert target.read_bytes() == data


def test_a_setting_that_does_not_exist_fails_the_task(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(JPEG)

    with pytest.raises(compressor.SettingsError, match="did you mean quality"):
        run(str(tmp_path / "photo.jpg"), str(tmp_path / "smaller.jpg"), {"qualty": 60})


def test_a_busy_process_is_tried_again_and_a_broken_image_is_not() -> None:
    assert compressor.BusyError in compress_file.autoretry_for
    assert not issubclass(compressor.FormatError, compress_file.autoretry_for)
