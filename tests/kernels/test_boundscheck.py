"""Memory safety: tests of kernels run again in a process where every access to an array is checked.

Without NUMBA_BOUNDSCHECK neither Numba nor `lanes` detects an access that is out of bounds. The mode is read when
kernels are compiled, so it needs a process of its own (tests/safety.py).
"""

import subprocess
import sys
from collections.abc import Mapping

from tests import ROOT

# Tests that reach the ends of arrays: odd widths and heights, longest codes, largest blocks.
EDGES = [
    "kernels/test_color.py::test_planes_agree_with_jfif_for_every_width",
    "kernels/test_color.py::test_grey_is_the_sample_itself_for_every_width",
    "kernels/test_color.py::test_rows_below_the_last_one_repeat_it",
    "kernels/test_color.py::test_segments_join_without_a_seam",
    "kernels/test_sharp.py::test_planes_agree_with_the_reference_for_every_width",
    "kernels/test_sharp.py::test_lines_around_a_window_do_not_matter",
    "kernels/test_ssimulacra2.py::test_scores_of_every_side_agree_with_the_reference",
    "kernels/test_ssimulacra2.py::test_bands_of_any_size_have_the_identical_score",
    "kernels/test_dering.py::test_only_the_requested_blocks_and_lines_are_touched",
    "kernels/test_dct.py::test_only_the_requested_blocks_and_lines_are_used",
    "kernels/test_huffman_encode.py::test_mcus_interleave_their_components",
    "kernels/test_huffman_encode.py::test_full_blocks_are_coded_bit_for_bit",
    "kernels/test_huffman_encode.py::test_the_largest_block_takes_less_than_is_reserved_for_it",
    "kernels/test_huffman_encode.py::test_bytes_that_are_all_ff_double",
    "kernels/test_huffman_encode.py::test_an_ff_in_any_place_is_stuffed",
    "kernels/test_huffman_encode.py::test_symbols_are_counted_and_added_up",
    "kernels/test_idct.py::test_edge_samples_are_repeated_on_both_sides",
    "kernels/test_idct.py::test_the_triangle_filter_is_linear_interpolation_with_alternating_ties",
    "kernels/test_idct.py::test_rgb_components_are_copied",
    "jpeg/test_pixels.py::test_all_sampling_factors_decode_as_with_libjpeg",
    "jpeg/test_pixels.py::test_grey_and_rgb_and_restarts_decode_as_with_libjpeg",
    "jpeg/test_pixels.py::test_extreme_coefficients_stay_inside_the_arrays",
    "kernels/test_masking.py::test_energies_of_only_the_requested_blocks_are_measured",
    "kernels/test_masking.py::test_chroma_factors_agree_with_the_formula_and_reach_both_clips",
    "kernels/test_quantize.py::test_only_the_requested_blocks_rows_and_factors_are_used",
    "kernels/test_progressive.py::test_decoding_resumes_where_the_data_ended",
    "kernels/test_progressive.py::test_data_that_ends_too_early_is_reported",
    "kernels/test_progressive_encode.py::test_runs_of_empty_bands_span_calls_and_end_where_eob14_does",
    "kernels/test_progressive_encode.py::test_correction_bits_wait_for_their_run_up_to_a_limit",
    "kernels/test_progressive_encode.py::test_the_largest_blocks_take_less_than_is_reserved_for_them",
    "kernels/test_progressive_encode.py::test_dc_is_interleaved_counted_and_encoded_as_by_the_reference",
    "kernels/png/test_unfilter.py::test_filter_rows_applies_the_given_type",
    "kernels/png/test_matches.py::test_calls_of_any_number_of_rows_give_the_same",
    "kernels/png/test_matches.py::test_the_window_is_moved_without_losing_a_match",
    "kernels/png/test_rgba16.py::test_every_form_is_expanded_as_by_the_reference",
    "kernels/png/test_rgba16.py::test_packing_reverses_expansion",
    "kernels/png/test_palette.py::test_histograms_agree_with_the_reference",
    "kernels/png/test_palette.py::test_cells_are_merged_as_by_the_reference_before_the_table_is_more_than_half_full",
    "kernels/png/test_palette.py::test_diffusion_agrees_with_the_reference_in_bands_of_any_height",
    "kernels/png/test_palette.py::test_the_histogram_of_a_large_picture_is_bounded",
    "kernels/png/test_rgba16.py::test_256_colors_are_counted_and_one_more_is_too_many",
    "png/test_deflate.py::test_a_truncated_or_damaged_stream_has_no_last_block_outside_of_it",
    "kernels/test_packing.py::test_every_size_of_value_survives_in_every_place",
    "kernels/test_packing.py::test_the_largest_block_takes_block_bytes_max",
    "kernels/test_trellis.py::test_values_end_at_1023_and_runs_at_the_last_coefficient",
    "kernels/test_trellis.py::test_every_state_is_kept_if_none_is_better",
    "kernels/test_trellis.py::test_nan_and_infinity_stay_inside_the_arrays",
    "kernels/test_mcu_row.py::test_the_largest_row_fits_the_arrays",
    "kernels/test_mcu_row.py::test_pixels_and_coefficients_in_slabs_of_any_height_give_the_same_bytes",
    "jpeg/test_parallel.py::test_the_last_dc_is_computed_without_encoding",
    "jpeg/test_parallel.py::test_bits_encoded_separately_are_joined_and_stuffed_as_if_encoded_together",
    "jpeg/test_adaptive_quantization.py::test_factors_depend_on_all_neighbors_across_rows",
    "jpeg/test_adaptive_quantization.py::test_effort_best_is_as_good_as_the_trellis_of_the_reference",
    "jpeg/test_adaptive_quantization.py::test_a_files_coefficients_are_dequantized",
    "jpeg/test_adaptive_quantization.py::test_slabs_of_any_height_are_requantized_as_row_by_row",
    "jpeg/test_adaptive_quantization.py::test_pixels_are_quantized_in_slabs_of_any_height_as_row_by_row",
    "jpeg/test_adaptive_quantization.py::test_a_wide_row_is_quantized_in_parts",
]

# Each operation of `lanes` just inside an array, then one element after its end and before its start.
PROBES = """
import numpy as np
from numba import njit
from compressor.kernels import color, dct, dering, huffman_encode, idct, lanes, luminance, masking, mcu_row, packing
from compressor.kernels import quantize, rgb, sharp, spectrum, ssimulacra2_lanes, trellis, upsample

u1, i2 = (lambda *shape: np.zeros(shape, np.uint8)), (lambda *shape: np.zeros(shape, np.int16))
def f4(*shape):
    return np.zeros(shape, np.float32)

table = f4(1, 64)
ones = f4(1, 64) + np.float32(1)
CASES = {
    "load_be64": (lambda a, at: lanes.load_be64(a, at), (u1(20),), 12),
    "store_be64": (lambda a, at: lanes.store_be64(a, at, np.uint64(0)), (u1(20),), 12),
    "copy32_find_ff, target": (lambda a, b, at: lanes.copy32_find_ff(a, at, b, 0), (u1(40), u1(32)), 8),
    "copy32_find_ff, source": (lambda a, b, at: lanes.copy32_find_ff(a, 0, b, at), (u1(32), u1(40)), 8),
    "nonzero_mask": (lambda a, at: lanes.nonzero_mask(a, at), (i2(3, 64),), 2),
    "clear_block": (lambda a, at: lanes.clear_block(a, at), (i2(3, 64),), 2),
    "magnitude_bits": (lambda a, at: lanes.magnitude_bits(a, at, 1), (i2(3, 64),), 2),
    "magnitude_mask": (lambda a, at: lanes.magnitude_mask(a, at, 4), (i2(3, 64),), 2),
    "above_half_mask": (lambda a, at: trellis.above_half_mask(a, at), (np.zeros((3, 64), np.float32),), 2),
    "columns_and_mask": (lambda a, c, at: lanes.columns_and_mask(a, at, c), (i2(3, 64), i2(64)), 2),
    "ycc400_lanes": (lambda a, y, at: color.ycc400_lanes(a, at, y, 0), (u1(1, 40), i2(1, 32)), 8),
    "ycc444_lanes": (lambda a, y, at: color.ycc444_lanes(a, at, y, y, y, 0), (u1(1, 100), i2(1, 32)), 4),
    "ycc444_lanes, planes": (lambda a, y, at: color.ycc444_lanes(a, 0, y, y, y, at), (u1(1, 96), i2(1, 40)), 8),
    "ycc420_lanes": (lambda a, y, at: color.ycc420_lanes(a, 0, at, y, 0, 0, y, y, 0), (u1(1, 100), i2(1, 32)), 4),
    "ycc420_lanes, chroma": (
        lambda a, y, c, at: color.ycc420_lanes(a, 0, 0, y, 0, 0, c, c, at), (u1(1, 96), i2(1, 32), i2(1, 20)), 4
    ),
    "components_lanes": (
        lambda a, r, at: ssimulacra2_lanes.components_lanes(3, 3, a, at, 0, 8, r, 0, 16), (f4(30), f4(48)), 6
    ),
    "components_lanes, ring": (
        lambda a, r, at: ssimulacra2_lanes.components_lanes(3, 3, a, 0, 0, 8, r, at, 16), (f4(24), f4(50)), 2
    ),
    "vertical_lanes": (
        lambda r, s, at: ssimulacra2_lanes.vertical_lanes(r, at, 4, s, 0), (f4(150), f4(4 * 528)), 6
    ),
    "vertical_lanes, sums": (
        lambda r, s, at: ssimulacra2_lanes.vertical_lanes(r, 0, 4, s, at), (f4(144), f4(3 * 528 + 10)), 2
    ),
    "maps_lanes": (
        lambda s, r, t, at: ssimulacra2_lanes.maps_lanes(s, at + 4, r, 0, t), (f4(3 * 528 + 20), f4(16), f4(48)), 4
    ),
    "maps_lanes, ring": (
        lambda s, r, t, at: ssimulacra2_lanes.maps_lanes(s, 4, r, at, t), (f4(3 * 528 + 16), f4(20), f4(48)), 4
    ),
    "half_lanes": (lambda a, at: ssimulacra2_lanes.half_lanes(a, at, 0, 0), (f4(20),), 4),
    "half_lanes, to": (lambda a, at: ssimulacra2_lanes.half_lanes(a, 0, 0, at), (f4(20),), 12),
    "split_lanes": (lambda p, b, at: sharp.split_lanes(p, at, b, 0, 32), (u1(1, 100), u1(3, 32)), 4),
    "split_lanes, bands": (lambda p, b, at: sharp.split_lanes(p, 0, b, at, 32), (u1(1, 96), u1(1, 100)), 4),
    "chroma_lanes": (
        lambda b, c, at: sharp.chroma_lanes(b, 1, 1, at + 1, 1, 40, c, 0, 16), (u1(3, 40), f4(2, 16)), 6
    ),
    "chroma_lanes, chroma": (
        lambda b, c, at: sharp.chroma_lanes(b, 1, 1, 1, 1, 40, c, 0, at), (u1(3, 40), f4(1, 20)), 4
    ),
    "round_lanes": (lambda c, p, at: sharp.round_lanes(c, at, p, 0), (f4(12), i2(8)), 4),
    "luma_lanes": (
        lambda b, c, y, at: luminance.luma_lanes(b, 0, 16, c, at + 1, 1, 0, y, 0), (u1(3, 16), f4(14), i2(16)), 4
    ),
    "luma_lanes, bands": (
        lambda b, c, y, at: luminance.luma_lanes(b, at, 16, c, 1, 1, 0, y, 0), (u1(1, 52), f4(10), i2(16)), 4
    ),
    "luma_lanes, y": (
        lambda b, c, y, at: luminance.luma_lanes(b, 0, 16, c, 1, 1, 0, y, at), (u1(3, 16), f4(10), i2(20)), 4
    ),
    "below_mask": (lambda p, at: dering.below_mask(p, at, 8, 5), (i2(1, 68),), 4),
    "weighted_rows": (lambda w, r, o, at: dering.weighted_rows(w, at, r, o), (f4(12), f4(64), f4(64)), 4),
    "weighted_rows, out": (lambda w, r, o, at: dering.weighted_rows(w, at, r, o), (f4(64), f4(64), f4(12)), 4),
    "fdct_one": (lambda p, o, at: dct.fdct_one(p, at, 8, o, 0), (i2(1, 68), f4(1, 64)), 4),
    "fdct_one, out": (lambda p, o, at: dct.fdct_one(p, 0, 8, o, at), (i2(1, 64), f4(1, 68)), 4),
    "fdct_two": (lambda p, o, at: dct.fdct_two(p, at, 16, o, 0), (i2(1, 132), f4(2, 64)), 4),
    "fdct_two, out": (lambda p, o, at: dct.fdct_two(p, 0, 16, o, at), (i2(1, 128), f4(1, 132)), 4),
    "quantize_block": (
        lambda c, r, o, at: quantize.quantize_block(c, at, r, r, 0, np.float32(1), o, 0),
        (f4(1, 68), table, i2(1, 64)), 4
    ),
    "quantize_block, reciprocal": (
        lambda c, r, d, o, at: quantize.quantize_block(c, 0, r, d, at, np.float32(1), o, 0),
        (table, f4(1, 68), f4(2, 64), i2(1, 64)), 4
    ),
    "quantize_block, slope": (
        lambda c, r, d, o, at: quantize.quantize_block(c, 0, r, d, at, np.float32(1), o, 0),
        (table, f4(2, 64), f4(1, 68), i2(1, 64)), 4
    ),
    "quantize_block, out": (
        lambda c, r, o, at: quantize.quantize_block(c, 0, r, r, 0, np.float32(1), o, at), (table, table, i2(1, 68)), 4
    ),
    "sums": (lambda c, w, e, at: masking._sums(c, at, w, e, 0, 1), (f4(1, 68), f4(2, 64), f4(3, 1)), 4),
    "sums, energy": (lambda c, w, e, at: masking._sums(c, 0, w, e, at, 4), (table, f4(2, 64), f4(2, 4)), 3),
    "idct_block": (
        lambda c, q, p, at: idct.idct_block(c, 0, q, 0, p, at, 8), (i2(1, 64), i2(1, 64), u1(1, 68)), 4
    ),
    "fill_block": (lambda p, at: idct.fill_block(p, at, 8, 1), (u1(1, 68),), 4),
    "h2v1_lanes": (lambda p, o, at: upsample.h2v1_lanes(p, at + 1, o, 0), (u1(1, 38), u1(1, 64)), 4),
    "h1v2_lanes": (lambda p, o, at: upsample.h1v2_lanes(p, 0, at, 1, o, 0), (u1(1, 36), u1(1, 32)), 4),
    "h2v2_lanes": (lambda p, o, at: upsample.h2v2_lanes(p, 1, at + 1, o, 0), (u1(1, 38), u1(1, 64)), 4),
    "ycc_lanes": (lambda p, o, at: rgb.ycc_lanes(p, 0, p, at, p, 0, o, 0), (u1(1, 36), u1(96)), 4),
    "rgb_lanes, out": (lambda p, o, at: rgb.rgb_lanes(p, 0, p, 0, p, 0, o, at), (u1(1, 32), u1(100)), 4),
}
for name, (function, arrays, last) in CASES.items():
    kernel = njit(function)
    kernel(*arrays, 0)
    kernel(*arrays, last)
    for outside in (last + 1, -1, 1 << 40):
        try:
            kernel(*arrays, outside)
        except IndexError:
            continue
        raise SystemExit(f"{name}: index {outside} was not caught")

# Compiled kernels raise too, given one element less than they need, through all calls between.
planes = [np.zeros((8, 31), np.int16)] * 3
codes = (np.full((1, 256), 33, np.uint32),) * 2 + (np.zeros((1, 65 * 64), np.uint32),)
layout, state, blocks = np.array([[0, 1, 1, 1]]), np.zeros(8, np.int64), i2(1, 64)
halved = np.array([[0, 4, 2, 2], [0, 2, 1, 1], [0, 2, 1, 1]])
black = np.eye(8, 16, dtype=np.int16) * -2048
TOO_SMALL = {
    "sharp_planes, y": lambda: sharp.sharp_planes(
        u1(16, 96), 0, halved, i2(16, 31), i2(8, 16), i2(8, 16), *sharp.sharp_scratch()
    ),
    "sharp_planes, cr": lambda: sharp.sharp_planes(
        u1(16, 96), 0, halved, i2(16, 32), i2(8, 16), i2(8, 15), *sharp.sharp_scratch()
    ),
    "planes": lambda: color.planes(u1(8, 96), 0, 0, 32, 3, 1, 1, tuple(planes), u1(1, 192)),
    "planes, tail": lambda: color.planes(u1(8, 24), 0, 0, 8, 3, 2, 2, (i2(16, 32), *planes[:2]), u1(1, 191)),
    "fdct": lambda: dct.fdct(i2(8, 15), 0, 2, f4(2, 64), 0),
    "fdct, out": lambda: dct.fdct(i2(8, 16), 0, 2, f4(2, 64), 1),
    "dering": lambda: dering.dering(i2(8, 15), 0, 0, 2, f4(64), f4(7, 64)),
    "dering, scratch": lambda: dering.dering(black, 0, 0, 1, f4(64), f4(6, 64)),
    "dead_zone": lambda: quantize.dead_zone(f4(2, 64), 1, 2, (table, table), 0, f4(2), 0, i2(2, 64), 0),
    "dead_zone, component": lambda: quantize.dead_zone(f4(2, 64), 0, 2, (table, table), 1, f4(2), 0, i2(2, 64), 0),
    "dead_zone, factor": lambda: quantize.dead_zone(f4(2, 64), 0, 2, (table, table), 0, f4(2), 1, i2(2, 64), 0),
    "dead_zone, out": lambda: quantize.dead_zone(f4(2, 64), 0, 2, (table, table), 0, f4(2), 0, i2(2, 64), 1),
    "energies": lambda: masking.energies(f4(2, 64), 1, 2, masking.LUMA, f4(3, 2), 0),
    "energies, weight": lambda: masking.energies(f4(2, 64), 0, 2, table, f4(3, 2), 0),
    "energies, out": lambda: masking.energies(f4(2, 64), 0, 2, masking.LUMA, f4(3, 2), 1),
    "luma": lambda: masking.luma(f4(3, 2), 0, f4(3), 3, f4(3)),
    "luma, contrast": lambda: masking.luma(f4(3, 3), 0, f4(2), 3, f4(3)),
    "luma, out": lambda: masking.luma(f4(3, 3), 0, f4(3), 3, f4(2)),
    "chroma": lambda: masking.chroma(f4(3, 5), 0, 3, 3, f4(3), f4(3)),
    "chroma, light": lambda: masking.chroma(f4(3, 6), 0, 3, 3, f4(2), f4(3)),
    "chroma, out": lambda: masking.chroma(f4(3, 6), 0, 3, 3, f4(3), f4(2)),
    "encode_mcus, raw": lambda: huffman_encode.encode_mcus(blocks, layout, 0, 1, codes, state, u1(7)),
    "encode_mcus, blocks": lambda: huffman_encode.encode_mcus(blocks, layout, 1, 1, codes, state, u1(99)),
    "columns_and_mask": lambda: njit(lambda a, c: lanes.columns_and_mask(a, 0, c))(blocks, i2(63)),
    "stuff, raw": lambda: huffman_encode.stuff(u1(31), 1, u1(64)),
    "stuff, out": lambda: huffman_encode.stuff(u1(33) + np.uint8(255), 1, u1(31)),
    "encode_slab, codes": lambda: mcu_row.encode_slab(
        blocks, layout, (codes[0], codes[1], codes[2][:, :9].copy()), state, u1(300), u1(600)
    ),
    "pack, ends": lambda: packing.pack(blocks, 0, 1, 1, np.zeros(0, np.int64), u1(200)),
    "requantize, out": lambda: spectrum.requantize(
        i2(2, 64), layout, False, table, (table, table, f4(0), f4(0, 1024), f4(0, 64)), (f4(1, 64), f4(3, 1)) * 2,
        (f4(1, 1), f4(1, 1), f4(2, 1), f4(1)), np.zeros(spectrum.STATE, np.int64), i2(0, 64),
    ),
    "dequantize_block": lambda: njit(lambda s, q, o: spectrum.dequantize_block(s, 1, q, 0, o, 0))(blocks, table, table),
    "dequantize_block, tables": lambda: njit(lambda s, q, o: spectrum.dequantize_block(s, 0, q, 1, o, 0))(
        blocks, table, table
    ),
    "dequantize_block, out": lambda: njit(lambda s, q, o: spectrum.dequantize_block(s, 0, q, 0, o, 1))(
        blocks, table, table
    ),
    "pack": lambda: packing.pack(blocks, 0, 1, 1, np.zeros(1, np.int64), u1(2)),
    "unpack": lambda: packing.unpack(u1(2), 0, 1, blocks),
    "unpack, run too long": lambda: packing.unpack(np.array([0, 0, 0xF0, 0xF0, 0xF0, 0xF1, 0], np.uint8), 0, 1, blocks),
    "trellis, rate": lambda: trellis.trellis(ones, 0, 1, f4(64), f4(16), f4(64), blocks),
    "rates": lambda: trellis.rates(f4(256), f4(16 * 63 + 10), f4(64)),
    "rates, margin": lambda: trellis.rates(f4(256), f4(1024), f4(63)),
}
for name, call in TOO_SMALL.items():
    try:
        call()
    except IndexError:
        continue
    raise SystemExit(f"{name}: was not caught")
print("all caught")
"""


def run(safety_build: Mapping[str, str], *arguments: str) -> str:
    """Run Python in the safety build, and return its output."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=safety_build,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_lanes_and_kernels_catch_every_access_outside_an_array(safety_build: Mapping[str, str]) -> None:
    assert run(safety_build, "-c", PROBES) == "all caught\n"


def test_kernels_stay_inside_their_arrays(safety_build: Mapping[str, str]) -> None:
    paths = [f"tests/{edge}" for edge in EDGES]

    assert " passed" in run(safety_build, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths)
