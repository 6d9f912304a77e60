"""Files that this package has made are recognized by their tables, at any distance; no others are."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compressor import compress
from compressor.bytestream import ByteStream
from compressor.jpeg.perceptual import TABLE_SETS, distance_for, quantization_tables, table_set_of
from compressor.jpeg.quality import distance_of, estimated_quality, is_made_before
from compressor.jpeg.reader import read_header
from compressor.jpeg.requantize import on_lattice
from compressor.jpeg.table_sets import TableSet
from compressor.jpeg.tables import quantization_table
from compressor.settings import Effort
from tests.corpus import CORPUS
from tests.jpeg_files import jpeg, photo


def is_ours(data: bytes) -> bool:
    return is_made_before(read_header(ByteStream([data])))


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("distance", [0.2, 0.37, 0.9, 1.11, 1.234, 2.41, 3.21, 5.01, 8.8, 23.4, 60])
def test_tables_at_any_distance_are_recognized(distance: float, components: int) -> None:
    for table_set in TABLE_SETS:
        tables = quantization_tables(distance, components, table_set)
        found = distance_of(tables, table_set, components == 3)
        assert found is not None
        for one, other in zip(quantization_tables(found, components, table_set), tables, strict=True):
            assert np.array_equal(one, other)


def test_one_changed_step_is_not_ours() -> None:
    for table_set in TABLE_SETS:
        tables = quantization_tables(2.5, 3, table_set)
        tables[2][40] += 1
        assert distance_of(tables, table_set, True) is None


@pytest.mark.parametrize("effort", Effort)
def test_a_result_has_the_tables_of_its_effort(effort: Effort) -> None:
    made = read_header(ByteStream([compress(photo(97, 75), format="jpeg", quality=60, effort=effort).data]))
    wanted = quantization_tables(distance_for(60, effort), 3, table_set_of(effort))
    assert all(np.array_equal(made.quantization[at], table) for at, table in enumerate(wanted))
    assert table_set_of(effort) in TABLE_SETS


@pytest.mark.parametrize("effort", ["fast", "balanced", "best"])
@pytest.mark.parametrize("quality", [30, 60, 80, 90])
def test_results_from_pixels_and_from_jpegs_are_recognized(quality: int, effort: Any) -> None:
    for source in (photo(97, 75), photo(97, 75, "L")):
        assert is_ours(compress(source, format="jpeg", quality=quality, effort=effort).data)
    made = compress(jpeg(97, 75, quality=98), quality=quality, effort=effort)
    assert made.report.path == "lossless" or is_ours(made.data)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("chroma", [0, 2])
def test_files_of_libjpeg_are_not_taken_for_ours(chroma: int, mode: str) -> None:
    for quality in range(1, 101):
        out = io.BytesIO()
        photo(16, 16, mode).save(out, "JPEG", quality=quality, subsampling=chroma)
        assert not is_ours(out.getvalue()), quality


def test_files_of_cameras_are_not_taken_for_ours() -> None:
    for path in sorted(CORPUS.rglob("*.jp*g")):
        assert not is_ours(path.read_bytes()), path


def test_the_quality_of_a_result_for_a_target_is_between_the_whole_ones() -> None:
    made = compress(photo(97, 75), format="jpeg", target_score=40).data
    found = estimated_quality(read_header(ByteStream([made])))
    assert found is not None and 1 <= found <= 100


@pytest.mark.parametrize("table_set", TABLE_SETS)
def test_requantized_tables_of_libjpeg_are_recognized(table_set: TableSet) -> None:
    hits = 0
    for source in range(90, 101, 2):
        for distance in (1.5, 2.2, 3.2, 5.3):
            wanted = quantization_tables(distance, 1, table_set)[0]
            luma = on_lattice(quantization_table(source, False), wanted)
            out = io.BytesIO()
            Image.new("L", (8, 8)).save(out, "JPEG", qtables=[natural(luma)])
            hits += is_ours(out.getvalue())
    assert hits >= 20


def natural(table: np.ndarray) -> list[int]:
    """Return a zig-zag table in Pillow's order, which is that of rows."""
    from compressor.t81 import ZIGZAG

    rows = np.empty(64, int)
    rows[ZIGZAG] = table
    return rows.tolist()
