"""Runs of the command over objects of all kinds, and the outcome of each."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor.stores.markers import MARKER
from tests import ROOT
from tests.batch import mixed
from tests.batch.dask_cluster import Cluster, until

COUNT = 66
COUNT_HEAVY = 2000
Objects = dict[str, tuple[bytes, str]]


def batch(*words: object, start: Callable[[subprocess.Popen[str]], None] = lambda process: None) -> dict[str, Any]:
    """Run `compressor batch`; return its summary. `start` is called while it runs."""
    return command("batch", *words, start=start)


def command(*words: object, start: Callable[[subprocess.Popen[str]], None] = lambda process: None) -> dict[str, Any]:
    """Run a command; return its summary."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "compressor.cli", *map(str, words), "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        start(process)
        out, errors = process.communicate(timeout=3600)
    finally:
        process.kill()
        process.wait()
    assert process.returncode in (0, 1), errors
    summary: dict[str, Any] = json.loads(out)
    assert process.returncode == (1 if summary["failed"] else 0)
    return summary


def filled(folder: Path, count: int) -> Objects:
    """Write mixed objects to a folder; every file system accepts names as long as these."""
    objects = {}
    for key, data, expected in mixed.mixed(count):
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        objects[key] = data, expected
    return objects


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def states(folder: Path) -> dict[str, tuple[int, int]]:
    """Return inodes and modification times, which every write changes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def decoded(data: bytes) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Return the pixels and the metadata of an image."""
    with Image.open(io.BytesIO(data)) as image:
        metadata = {name: image.info.get(name) for name in ("exif", "icc_profile", "xmp")}
        if image.mode.startswith("I"):  # 16 bits, which Pillow's `convert` would clip
            return np.asarray(image)[..., None].repeat(3, 2) / 257, metadata
        return np.asarray(image.convert("RGBA" if "A" in image.mode or image.mode == "P" else "RGB")).astype(
            int
        ), metadata


def assert_as_expected(
    summary: dict[str, Any], objects: Objects, results: dict[str, bytes], exact: bool = False
) -> None:
    """Assert that every object exists, is as expected, and is accounted for.

    results  the data stored now, by key
    exact    pixels are the same
    """
    assert results.keys() == objects.keys()
    smaller = set()
    for key, (before, expected) in objects.items():
        after = results[key]
        if after != before:
            assert expected in (mixed.SMALLER, mixed.IMAGE, mixed.GARBLED), key
            assert len(after) <= 0.95 * len(before), key
            smaller.add(key)
            (pixels, metadata), (pixels_before, metadata_before) = decoded(after), decoded(before)
            assert metadata == metadata_before, key
            assert pixels.shape == pixels_before.shape, key
            assert np.abs(pixels - pixels_before).mean() < (1e-9 if exact else 12), key
        elif not exact:
            assert expected != mixed.SMALLER, key
    totals = summary["totals"]
    assert sum(total["objects"] for total in totals) == summary["objects"] == len(objects)
    assert summary["bytes_in"] == sum(len(before) for before, _ in objects.values())
    assert summary["bytes_out"] == sum(map(len, results.values()))
    assert sum(total["objects"] for total in totals if total["outcome"] == "compressed") == len(smaller)
    broken = sum(expected == mixed.BROKEN for _, expected in objects.values())
    garbled = sum(expected == mixed.GARBLED for _, expected in objects.values())
    assert broken <= summary["failed"] <= broken + garbled
    assert sum(total["objects"] for total in totals if total["reason"] == "empty") == sum(
        expected == mixed.EMPTY for _, expected in objects.values()
    )


@contextmanager
def cluster_in(folder: Path) -> Iterator[Cluster]:
    folder.mkdir()
    with Cluster(folder) as cluster:
        yield cluster


def copy_with_both_engines(tmp_path: Path, count: int) -> None:
    source, target, other = tmp_path / "source", tmp_path / "target", tmp_path / "other"
    objects = filled(source, count)

    summary = batch(source, target, "--ledger", tmp_path / "ledger", "--workers", 2)

    assert_as_expected(summary, objects, contents(target))
    assert contents(source) == {key: data for key, (data, _) in objects.items()}

    before = states(target)
    assert batch(source, target, "--ledger", tmp_path / "ledger", "--workers", 2)["totals"] == summary["totals"]
    assert states(target) == before

    with cluster_in(tmp_path / "dask") as cluster:

        def kill_one(process: subprocess.Popen[str]) -> None:
            until(lambda: len(cluster.notes("commit")) > count // 3 or process.poll() is not None)
            assert process.poll() is None
            os.kill(cluster.notes("prepare")[-1][0], signal.SIGKILL)

        words = ("--engine", "dask", "--scheduler", cluster.address, "--ledger", tmp_path / "other.ledger")
        by_dask = batch(source, other, *words, start=kill_one)

        committed = [token for _, token in cluster.notes("commit")]
        assert len({pid for pid, _ in cluster.notes("prepare")}) >= 2
        assert len(committed) == len(set(committed))
    assert contents(other) == contents(target)
    same = ("objects", "bytes_in", "bytes_out", "failed")
    assert {name: by_dask[name] for name in same} == {name: summary[name] for name in same}


def replace_and_restore(tmp_path: Path, count: int) -> None:
    folder, ledger, originals = tmp_path / "folder", tmp_path / "ledger", tmp_path / "kept"
    objects = filled(folder, count)

    summary = batch(folder, "--in-place", "--keep-originals", originals, "--ledger", ledger)

    now, kept = contents(folder), contents(originals)
    assert summary["keep"] == str(originals) and kept.pop(MARKER)
    assert_as_expected(summary, objects, now, exact=True)
    assert kept == {key: data for key, (data, _) in objects.items() if now[key] != data}
    assert len(kept) > count // 4

    assert command("ledger", "restore", ledger)["objects"] == len(kept)
    assert contents(folder) == {key: data for key, (data, _) in objects.items()}


def test_both_engines_copy_mixed_objects_identically_even_if_a_worker_dies(tmp_path: Path) -> None:
    copy_with_both_engines(tmp_path, COUNT)


def test_mixed_objects_are_replaced_without_loss_and_restored(tmp_path: Path) -> None:
    replace_and_restore(tmp_path, COUNT)


@pytest.mark.heavy
def test_both_engines_copy_two_thousand_objects_identically_even_if_a_worker_dies(tmp_path: Path) -> None:
    copy_with_both_engines(tmp_path, COUNT_HEAVY)


@pytest.mark.heavy
def test_two_thousand_objects_are_replaced_without_loss_and_restored(tmp_path: Path) -> None:
    replace_and_restore(tmp_path, COUNT_HEAVY)


@pytest.mark.heavy
def test_photographs_and_a_png_of_400_megapixels_become_smaller(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    with open(source / "huge.png", "wb") as file:
        file.writelines(mixed.huge())
    expected = {"huge.png": mixed.IMAGE}
    for key, data, kind in mixed.photographs():
        (source / key).parent.mkdir(exist_ok=True)
        (source / key).write_bytes(data)
        expected[key] = kind

    summary = batch(source, target, "--ledger", tmp_path / "ledger")

    results = {key: (target / key).stat().st_size for key in expected}
    before = {key: (source / key).stat().st_size for key in expected}
    for key in expected:  # a camera's file may have a lower quality than requested
        assert results[key] <= 0.95 * before[key] or results[key] == before[key], key
    smaller = sum(results[key] < before[key] for key in expected)
    assert smaller > 0.8 * sum(kind == mixed.SMALLER for kind in expected.values())
    assert summary["objects"] == len(expected)
    assert results["huge.png"] < (source / "huge.png").stat().st_size
    assert summary["failed"] == sum(kind == mixed.BROKEN for kind in expected.values())
