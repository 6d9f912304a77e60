"""The benchmark of small images: a small run, its counts, and its checks of results."""

import dataclasses
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import compressor
from benchmarks.harness import record, sources
from benchmarks.small import counts, measure, run, table, threads

TINY = sources.Size(72, 40)
RESULT = measure.SmallResult(
    effort="fast",
    size="4240 × 2832",
    megapixels=12.0,
    source_bytes=12_345_678,
    cpu_seconds=0.1234,
    pillow_cpu_seconds=0.1111,
    ratio=1.11,
    quartiles=(1.10, 1.12),
    page_faults=1234.0,
    pillow_page_faults=0.0,
    files=4,
    python_calls=12345,
    kernel_calls=1234,
    bytes=0.5,
    pillow_bytes=0.6,
    psnr_db=40.0,
    pillow_psnr_db=39.0,
    score=80.0,
    pillow_score=79.0,
    problem="",
)


def test_our_cpu_time_is_compared_with_pillows() -> None:
    found = measure.compare("fast", TINY, rounds=1, files_max=1)

    assert found.problem == ""
    assert found.ratio == pytest.approx(found.cpu_seconds / found.pillow_cpu_seconds)
    assert 0 < found.bytes < 1 and 0 < found.pillow_bytes < 1
    assert found.python_calls > 0


def test_wrong_results_of_small_images_are_detected() -> None:
    files, good = [b"12345"], measure.Likeness(40.0, 80.0)

    assert measure.problem_of(files, [b"1234"], measure.Likeness(38.0, 77.5), good) == ""
    assert measure.problem_of(files, files, good, good) == "a result is not smaller than its source"
    assert measure.problem_of(files, [b"1"], measure.Likeness(20.0, 80.0), good) == "20.0 dB"
    worse = measure.problem_of(files, [b"1"], measure.Likeness(40.0, 76.0), good)
    assert worse == "SSIMULACRA2 is 4.0 below Pillow's"
    with pytest.raises(RuntimeError, match="not the one that was checked"):
        measure.measure_block(lambda data: data, files, 1, [b"other"])


def test_results_are_compared_with_their_sources() -> None:
    (data,) = sources.files(TINY, 1)

    same = measure.likeness([data], [data], None)

    assert same.psnr_db == float("inf") and same.score > 99
    with pytest.raises(ValueError, match="shapes differ"):
        measure.likeness([data], sources.files(sources.Size(40, 72), 1), None)


def test_temporary_files_and_calls_are_counted(tmp_path: Path) -> None:
    (tmp_path / "read").write_bytes(b"")

    def call() -> None:
        for _ in range(3):
            tempfile.TemporaryFile(dir=tmp_path).close()
        os.close(os.open(tmp_path / "read", os.O_RDONLY))

    counted = counts.count(call)

    assert counted.files == 3
    assert counted.python_calls > 10
    assert counts.count(lambda: None).files == 0


def test_calls_of_compiled_kernels_are_counted() -> None:
    counted = counts.Counts()
    for event, module in (("c_call", "compressor.kernels._compiled"), ("c_return", "compressor"), ("c_call", None)):
        counted._on_profile(None, event, SimpleNamespace(__module__=module))

    assert (counted.python_calls, counted.kernel_calls) == (2, 1)


def test_threads_are_compared_with_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "ROUND_SECONDS", 0.02)

    results = threads.compare("JPEG, lossless", TINY, rounds=2)

    assert [one.layout for one in results] == ["1 thread", "2 threads", "2 processes", "8 threads"]
    assert [one.problem for one in results] == [""] * 4
    assert results[0].vs_one == 1 and results[2].vs_processes == 1
    assert all(one.images_per_second > 0 and one.cpu_seconds > 0 for one in results)


def test_wrong_results_of_concurrent_calls_are_detected() -> None:
    size = sources.Size(256, 192)
    data = threads.source(size, "JPEG, fast")
    smaller = compressor.compress(data, quality=70).data

    assert threads.problem_of(data, [smaller], lossless=False) == ""
    assert threads.problem_of(data, [smaller], lossless=True) == "not lossless"
    differing = threads.problem_of(data, [smaller, smaller + b"\0"], lossless=False)
    assert differing == "results of concurrent calls differ"
    assert threads.problem_of(data, [data], lossless=False) == "not smaller"
    grey = compressor.compress(np.full((size.height, size.width), 128, np.uint8)).data
    assert threads.problem_of(data, [grey], lossless=False).endswith(" dB")


def test_small_images_and_threads_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    balanced = dataclasses.replace(RESULT, effort="balanced", ratio=0.456)
    one = threads.LayoutResult("JPEG, fast", str(TINY), "1 thread", 100.0, 0.01, 1.0, 0.55, (0.5, 0.6), "")
    two = dataclasses.replace(one, layout="2 threads", vs_one=1.8, vs_processes=0.95)

    record.console().print(table.small_table([RESULT, balanced], 1))
    record.console().print(table.counts_table([RESULT, dataclasses.replace(RESULT, kernel_calls=0)]))
    record.console().print(table.layout_table([one, two], 1))

    printed = capsys.readouterr().out
    assert "0.46×" in printed and "0.95×" in printed and "…" not in printed


def test_the_quick_form_takes_few_rounds_and_sizes() -> None:
    quick, usual = run.options(["--quick"]), run.options(["--sizes", "8,12", "--thread-sizes", ""])

    assert quick.small_rounds < usual.small_rounds and quick.thread_rounds < usual.thread_rounds
    assert [str(size) for size in quick.sizes] == ["64 × 64", "768 × 512"]
    assert [size.megapixels for size in usual.sizes] == [pytest.approx(8, rel=0.01), pytest.approx(12, rel=0.01)]
    assert usual.thread_sizes == []
    with pytest.raises(SystemExit):
        run.options(["--sizes", "3"])
