"""JPEG coefficients: rows compared with the bit-by-bit twin and Pillow; defects of scans that are tolerated or not."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from compressor.t81 import ZIGZAG
from tests import ROOT
from tests.jpeg_files import assert_same, fault, header_of, jpeg, read
from tests.reference import huffman as reference

CORPUS = Path(os.environ.get("COMPRESSOR_CORPUS", ROOT.parent / "shared" / "corpus"))


# --- coefficients


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [1, 50, 85, 100])
def test_color_files_decode_like_the_reference(subsampling: str, quality: int) -> None:
    data = jpeg(quality=quality, subsampling=subsampling)
    planes, header, _ = read(data)

    assert header.frame.subsampling == subsampling
    assert_same(planes, reference.decode(data))


@pytest.mark.parametrize("width, height", [(1, 1), (8, 8), (9, 7), (15, 17), (16, 16), (33, 31), (100, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_odd_sizes_decode_like_the_reference(width: int, height: int, mode: str) -> None:
    data = jpeg(width, height, mode)

    assert_same(read(data)[0], reference.decode(data))


@pytest.mark.parametrize("options", [{"optimize": True}, {"restart_marker_blocks": 1}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("chunk", [1, 7, 64, None])
def test_optimized_tables_and_restart_intervals_decode_like_the_reference(
    options: dict[str, Any], chunk: int | None
) -> None:
    data = jpeg(70, 90, **options)
    planes, header, _ = read(data, chunk)

    assert not header.notices
    assert_same(planes, reference.decode(data))


SAMPLINGS = [
    ("4:4:0", [(1, 2), (1, 1), (1, 1)]),
    ("4:1:1", [(4, 1), (1, 1), (1, 1)]),
    ("4:1:0", [(4, 2), (1, 1), (1, 1)]),
    ("grey", [(2, 2)]),
    ("2x2,2x1,1x2", [(2, 2), (2, 1), (1, 2)]),
    ("1x1,3x2,1x1", [(1, 1), (3, 2), (1, 1)]),
    ("4:2:2", [(2, 1), (1, 1), (1, 1), (2, 1)]),
    ("2x2,1x1,1x1,1x1", [(2, 2), (1, 1), (1, 1), (1, 1)]),
    ("4:2:2", [(2, 1), (1, 1)]),
]


@pytest.mark.parametrize("name, sampling", SAMPLINGS)
@pytest.mark.parametrize("interval", [0, 3])
def test_all_sampling_factors_decode_to_what_was_encoded(
    name: str, sampling: reference.Sampling, interval: int
) -> None:
    inside = sampling if len(sampling) > 1 else [(1, 1)]
    planes = reference.random_planes(np.random.default_rng(3), 75, 41, inside)
    got, header, _ = read(reference.encode(planes, 75, 41, sampling, interval=interval))

    assert header.frame.subsampling == name
    assert_same(got, planes)


def test_a_scan_in_another_order_than_the_frame_is_followed() -> None:
    sampling = [(2, 1), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(4), 40, 20, sampling)

    assert_same(read(reference.encode(planes, 40, 20, sampling, order=(2, 0, 1)))[0], planes)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 13, 101, 1009, 65536, None])
@pytest.mark.parametrize("density", [0.1, 2.0])
def test_coefficients_do_not_depend_on_the_chunks(chunk: int | None, density: float) -> None:
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(6), 64, 64, sampling, density)
    data = reference.encode(planes, 64, 64, sampling, interval=5)
    got, _, rest = read(data + b"behind", chunk)

    assert_same(got, planes)
    assert rest == b"behind"


def test_more_data_than_a_window_holds() -> None:
    """Dense blocks, so that windows end inside rows, and restart markers in each of them."""
    sampling = [(2, 1), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(7), 2400, 16, sampling, 3.0)
    for interval in (0, 1):
        data = reference.encode(planes, 2400, 16, sampling, interval=interval)
        assert len(data) > 2**16
        assert_same(read(data)[0], planes)


def test_more_restart_markers_in_a_window_than_are_recorded() -> None:
    planes = [np.zeros((100, 50, 64), int)]
    planes[0][..., 0] = np.arange(5000).reshape(100, 50) % 7

    assert_same(read(reference.encode(planes, 400, 800, [(1, 1)], interval=1))[0], planes)


def dct_matrix() -> NDArray[np.float64]:
    """Return the DCT of A.3.3 as a matrix."""
    u, x = np.mgrid[:8, :8]
    matrix: NDArray[np.float64] = np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)
    return matrix


@pytest.mark.parametrize("mode", ["L", "YCbCr"])
def test_dequantized_coefficients_are_the_pixels_that_pillow_decodes(mode: str) -> None:
    """A.3.3 in float. libjpeg's integer IDCT is within 1 of it. Pillow returns YCbCr, so that no color is
    converted."""
    data = jpeg(45, 29, "L" if mode == "L" else "RGB", quality=90, subsampling="4:4:4")
    planes, header, _ = read(data)
    with Image.open(io.BytesIO(data)) as image:
        image.draft(mode, None)
        pixels = np.asarray(image).reshape(29, 45, -1)
    for c, plane in enumerate(planes):
        natural = np.zeros(plane.shape)
        natural[..., ZIGZAG] = plane * header.quantization[header.frame.components[c].tq].astype(float)
        blocks = dct_matrix().T @ natural.reshape(*plane.shape[:2], 8, 8) @ dct_matrix() + 128
        samples = blocks.swapaxes(1, 2).reshape(plane.shape[0] * 8, -1)[:29, :45]
        assert np.abs(np.clip(samples, 0, 255) - pixels[..., c]).max() < 1.5


def test_camera_files_decode_completely_in_any_chunks() -> None:
    """Whole files and odd chunks give the same coefficients. (Without the corpus there is nothing to do.)"""
    for path in sorted(CORPUS.glob("camera/*.jpg")):
        data = path.read_bytes()
        if header_of(data).streams:
            whole, header, rest = read(data)
            parts, again, rest_again = read(data, 4099)
            assert_same(parts, whole)
            assert (header.notices, rest) == (again.notices, rest_again)


# --- what is tolerated


def test_standard_huffman_tables_replace_missing_ones() -> None:
    sampling = [(1, 1)] * 3
    planes = reference.random_planes(np.random.default_rng(10), 20, 20, sampling)

    assert_same(read(reference.encode(planes, 20, 20, sampling, dht=False))[0], planes)


def test_a_missing_eoi_is_accepted_with_a_notice() -> None:
    data = jpeg()
    for end in (data[:-2], data[:-1]):
        planes, header, _ = read(end)
        assert_same(planes, reference.decode(data))
        assert header.notices == ["the file has no EOI marker"]


def test_fill_bytes_are_not_garbage() -> None:
    data = jpeg(restart_marker_blocks=1)
    filled = data
    for marker in (b"\xff\xe0", b"\xff\xdb", b"\xff\xd0", b"\xff\xd1", b"\xff\xd9"):
        filled = filled.replace(marker, b"\xff\xff\xff" + marker)
    for chunk in (1, None):
        planes, header, _ = read(filled, chunk)
        assert_same(planes, reference.decode(data))
        assert not header.notices


def test_garbage_between_segments_and_after_the_scan_is_reported() -> None:
    data = jpeg()
    dqt = data.index(b"\xff\xdb")
    planes, header, rest = read(data[:dqt] + b"garbage\xff\0" + data[dqt:-2] + b"more\xff\xd9after")

    assert_same(planes, reference.decode(data))
    assert [n.split(" bytes")[0] for n in header.notices] == ["9", "4"]
    assert rest == b"after"


def test_garbage_before_a_restart_marker_is_reported() -> None:
    data = jpeg(restart_marker_blocks=1)
    planes, header, _ = read(data.replace(b"\xff\xd0", b"xx\xff\xd0", 1))

    assert_same(planes, reference.decode(data))
    assert header.notices == ["2 bytes in the scan that belong to no MCU were ignored"]


def test_segments_after_the_scan_are_kept_separately() -> None:
    data = jpeg(restart_marker_rows=1)
    late = reference.segment(0xFE, b"late")
    _, header, rest = read(data[:-2] + b"\xff\xd3" + reference.segment(0xDC, b"\0\x18") + late + b"\xff\xd9")

    assert [s.data for s in header.trailing] == [b"late"]
    assert (header.notices, rest) == ([], b"")


# --- errors


def test_every_truncation_is_an_error_with_an_offset() -> None:
    data = jpeg(17, 17, optimize=True)
    for end in range(len(data) - 2):
        error = fault(data[:end])
        assert error.format == "JPEG" and error.offset is not None and error.offset <= end


def test_the_error_of_truncation_in_the_scan_names_row_and_offset() -> None:
    data = jpeg(200, 200, quality=95)
    error = fault(data[: len(data) // 2])

    assert error.place == "SOS"
    assert "MCU row 6 of 13" in str(error)
    assert error.offset == len(data) // 2


def test_restart_markers_must_come_in_order_and_on_time() -> None:
    data = jpeg(restart_marker_blocks=1)
    assert "RST2 in MCU row 0 of 2, expected RST0" in str(fault(data.replace(b"\xff\xd0", b"\xff\xd2", 1)))
    assert "cut off" in str(fault(data.replace(b"\xff\xd0", b"\xff\xd9", 1)))
    dri = data.index(b"\xff\xdd")
    assert "cut off" in str(fault(data[: dri + 4] + b"\0\3" + data[dri + 6 :]))
    assert fault(data[: dri + 4] + b"\0\0" + data[dri + 6 :]).place == "SOS"


def test_dc_coefficients_beyond_the_range_of_samples_are_rejected() -> None:
    planes = [np.zeros((1, 3, 64), int)]
    planes[0][0, :, 0] = 0, 2047, 2048

    assert "DC" in str(fault(reference.encode(planes, 24, 8, [(1, 1)])))
    planes[0][0, 2, 0] = 0
    assert_same(read(reference.encode(planes, 24, 8, [(1, 1)]))[0], planes)


def test_a_huge_size_in_the_header_costs_one_row() -> None:
    """65535 x 65535 in less than a kilobyte: reading fails after little work."""
    sampling = [(2, 2), (1, 1), (1, 1)]
    planes = reference.random_planes(np.random.default_rng(1), 16, 16, sampling)
    data = reference.encode(planes, 16, 16, sampling)
    sof = data.index(b"\xff\xc0")

    assert "row 0 of 4096" in str(fault(data[: sof + 5] + b"\xff" * 4 + data[sof + 9 :]))
