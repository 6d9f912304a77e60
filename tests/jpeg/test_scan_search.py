"""Lossless JPEG → JPEG: scans chosen for the image by sizes that are known before encoding."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compressor import pipeline
from compressor.bytestream import ByteStream
from compressor.jpeg import one_pass, reader, scan_search, static_codes, writer
from compressor.jpeg.coefficient_spool import HeldSlabs, Masks, SpooledSlabs, WaitingSlabs
from compressor.jpeg.encoder import clear_dummy_blocks
from compressor.jpeg.frame import Component, Frame, Header, Scan, Slab
from compressor.jpeg.progressive import (
    AC_APPENDED,
    DC_APPENDED,
    Counts,
    Progressive,
    ScanList,
    Specs,
    ac_scan,
    coded_bits,
    dc_alone,
    dc_scan,
    segments,
)
from compressor.jpeg.scan_search import SCANS_MAX, ScanSearch, Script, ac_scan_plans
from compressor.kernels import progressive_count
from compressor.memory import Resources
from compressor.pipeline.coefficients import Fingerprint
from compressor.settings import Settings
from compressor.spool import Spool
from tests.corpus import CORPUS
from tests.jpeg.test_scans import pixels_of, scanned
from tests.jpeg_files import assert_same, jpeg, pieces
from tests.reference import huffman, packing
from tests.reference import progressive as reference

SAMPLINGS: list[list[tuple[int, int]]] = [
    [(1, 1)], [(1, 1)] * 3, [(2, 2), (1, 1), (1, 1)], [(2, 1), (1, 1), (1, 1)], [(1, 2), (1, 1), (1, 1)],
    [(4, 1), (1, 1), (1, 1)], [(3, 2), (1, 1), (2, 1)], [(1, 1), (2, 2)], [(1, 1)] * 4,
    [(2, 2), (1, 1), (1, 1), (2, 2)],
]  # fmt: skip
# Every kind of scan: DC and AC in two and three steps, bands of one coefficient.
STEPS = [(1, 1, 0, 2), (2, 63, 0, 2), (1, 20, 2, 1), (21, 63, 2, 1), (1, 63, 1, 0)]


def frame_of(width: int, height: int, sampling: huffman.Sampling) -> Frame:
    """Return a frame with these sampling factors."""
    return Frame(width, height, tuple(Component(c + 1, h, v, 0) for c, (h, v) in enumerate(sampling)))


def rows_of(planes: Sequence[huffman.Plane], frame: Frame) -> Iterator[Slab]:
    """Yield slabs of one MCU row."""
    for number in range(frame.mcu_rows):
        lines = [plane[number * v : number * v + v].reshape(-1, 64) for plane, (_, v) in zip(planes, frame.sampling)]  # noqa: B905
        yield np.concatenate(lines).astype(np.int16)


def header_of(data: bytes) -> Header:
    """Read the header of a file."""
    return reader.read_header(ByteStream([data]))


def rows_in(data: bytes) -> Iterator[Slab]:
    """Yield the slabs of a file."""
    stream = ByteStream([data])
    return reader.read_slabs(stream, reader.read_header(stream))


def masked(frame: Frame, rows: Iterable[Slab]) -> Iterator[tuple[Slab, Masks]]:
    """Yield rows with masks, from a spool as in `ScanSearch`."""
    spooled = SpooledSlabs(frame, Resources().spool)
    for row in rows:
        spooled.add(row)
    spooled.finish()
    yield from spooled.masked()
    spooled.close()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 40])
@pytest.mark.parametrize("width, slab_blocks", [(50, 24), (50, 60), (50, 2048), (700, 50)])
def test_slabs_wait_as_they_are_or_packed_with_the_same_coefficients_and_masks(
    width: int, slab_blocks: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compressor.jpeg.frame.SLAB_BLOCKS", slab_blocks)
    monkeypatch.setattr("compressor.jpeg.coefficient_spool.SLAB_BLOCKS", slab_blocks)
    frame = frame_of(width, 170, [(2, 2), (1, 1), (1, 1)])
    planes = huffman.random_planes(np.random.default_rng(1), width, 170, frame.sampling, 0.3)
    whole = np.concatenate(list(rows_of(planes, frame)))
    sampled = whole.reshape(frame.mcu_rows, -1, 64)[::step].reshape(-1, 64)

    expected_hash = hashlib.blake2b(packing.pack(whole), digest_size=32).digest()
    held, spooled = Fingerprint(), Fingerprint()
    both: list[tuple[Fingerprint, WaitingSlabs]] = [
        (held, HeldSlabs(frame, held)),
        (spooled, SpooledSlabs(frame, Resources().spool, spooled)),
    ]

    for slab_hash, waiting in both:
        for at in range(0, len(whole), frame.slab_blocks):
            waiting.add(whole[at : at + frame.slab_blocks])
        waiting.finish()
        found = [(slab.copy(), masks.copy()) for slab, masks in waiting.masked(step)]
        assert waiting.count == frame.mcu_rows
        assert max(len(slab) for slab, _ in found) <= frame.slab_blocks
        np.testing.assert_array_equal(np.concatenate([slab for slab, _ in found]), sampled)
        expected = np.abs(sampled[:, :, None].astype(int)) >> np.arange(4)
        bits = (expected != 0) * (np.uint64(1) << np.arange(64, dtype=np.uint64))[:, None]
        np.testing.assert_array_equal(np.concatenate([masks for _, masks in found], axis=1), bits.sum(1).T)
        np.testing.assert_array_equal(np.concatenate([slab.copy() for slab in waiting.slabs()]), whole)
        waiting.close()
        assert slab_hash.digest() == expected_hash


def coded_size(counts: Counts, s: int, specs: Specs) -> int:
    """Return the bits of a scan's symbols that were counted."""
    listed = counts.listed
    own = counts.counts[listed.first_table[s] : listed.first_table[s + 1]]
    appended = AC_APPENDED if listed.scans[s].ss else DC_APPENDED
    coded = [coded_bits(own[th, :256], spec, appended) for (_, th), spec in specs.items()]
    return int(own[:, progressive_count.LOOSE].sum()) + sum(coded)


def file_of(frame: Frame, scans: list[Scan], rows: list[Slab]) -> tuple[bytes, int]:
    """Return a file with these scans, and its size before stuffing as predicted by counting."""
    counts = Counts(frame, ScanList(scans))
    for row, masks in masked(frame, rows):
        counts.add(row, masks)
    counts.finish()
    found = {scan: counts.specs(scan) for scan in scans}
    sizes = [coded_size(counts, s, found[scan]) for s, scan in enumerate(scans)]
    spool = Resources().spool()
    progressive = Progressive(frame, found, spool)
    progressive.add(masked(frame, rows))
    body = b"".join(bytes(chunk) for chunk in progressive.chunks())
    spool.close()
    promised = [
        len(segments(frame, scan, found[scan])) + -(-bits // 8) for scan, bits in zip(scans, sizes, strict=True)
    ]
    assert sum(counts.bits()) == pytest.approx(8 * sum(promised), rel=0.02, abs=100 * len(scans))
    head = writer.header(frame, {0: np.ones(64, np.uint16)}, None, [])
    return head + body + writer.END_OF_IMAGE, len(head) + sum(promised) + 2


@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.3, 3.0]), st.integers(1, 70), st.integers(1, 70))
@pytest.mark.parametrize("sampling", SAMPLINGS, ids=str)
def test_any_scans_of_any_frame_decode_to_their_coefficients(
    sampling: Any, seed: int, density: float, width: int, height: int
) -> None:
    frame = frame_of(width, height, sampling)
    inside = sampling if len(sampling) > 1 else [(1, 1)]
    planes = huffman.random_planes(np.random.default_rng(seed), width, height, inside, density)
    planes = reference.clear_dummy_blocks(planes, width, height, sampling)
    count = len(sampling)
    scans = [dc_scan(count, 0, 1), *(ac_scan(c, *step) for step in STEPS for c in range(count)), dc_scan(count, 1, 0)]

    data, promised = file_of(frame, scans, list(rows_of(planes, frame)))

    assert_same(scanned(data)[0], planes)
    assert len(data) - data.count(b"\xff\0") == promised


def test_a_scan_of_wide_rows_is_encoded_in_parts_and_spooled_in_pieces() -> None:
    frame = frame_of(40_000, 24, [(2, 2), (1, 1), (1, 1)])
    planes = huffman.random_planes(np.random.default_rng(1), frame.width, 24, frame.sampling, 0.3)
    planes = reference.clear_dummy_blocks(planes, frame.width, 24, frame.sampling)
    scans = [dc_scan(3), *(ac_scan(c, 1, 63, 0, 0) for c in range(3))]

    data, promised = file_of(frame, scans, list(rows_of(planes, frame)))

    assert_same(scanned(data)[0], planes)
    assert len(data) - data.count(b"\xff\0") == promised


@pytest.mark.parametrize("width, height, sampling", [(77, 45, (2, 2)), (40, 24, (1, 1)), (50, 130, (2, 1))], ids=str)
@pytest.mark.parametrize("number", range(len(ac_scan_plans(0, 3))))
def test_libjpeg_decodes_every_script_to_the_pixels_of_the_sequential_file(
    number: int, width: int, height: int, sampling: Any
) -> None:
    """DC of each component in a scan of its own, and another AC plan for each."""
    frame = frame_of(width, height, [sampling, (1, 1), (1, 1)])
    planes = huffman.random_planes(np.random.default_rng(number), width, height, frame.sampling, 0.3)
    rows = list(clear_dummy_blocks([np.clip(row, -300, 300) for row in rows_of(planes, frame)], frame))
    plans = [ac_scan_plans(c, 3)[(number + 7 * c) % len(ac_scan_plans(c, 3))] for c in range(3)]
    scans = sorted((scan for plan in plans for scan in plan), key=lambda scan: (bool(scan.ah), -scan.ah))
    data, _ = file_of(frame, [*(dc_alone(c) for c in range(3)), *scans], rows)
    plain = one_pass.OnePassSlabs(frame, static_codes.codes_for(1.6, len(frame.components)), rows)
    body = b"".join(bytes(piece) for piece in plain.body())
    twin = writer.header(frame, {0: np.ones(64, np.uint16)}, plain.codes, []) + body + writer.END_OF_IMAGE

    np.testing.assert_array_equal(pixels_of(data), pixels_of(twin))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"subsampling": 1}, {"progressive": True}], ids=str)
def test_pillow_decodes_source_and_result_to_the_same_pixels(mode: str, options: dict[str, Any]) -> None:
    if mode != "RGB":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    for width, height in ((301, 203), (17, 333)):
        source = jpeg(width, height, mode, quality=92, **options)
        made = pipeline.compress(source, lossless=True)

        assert len(made.data) < len(source)
        for data in (source, made.data):
            Image.open(io.BytesIO(data)).verify()
        np.testing.assert_array_equal(pixels_of(source), pixels_of(made.data))


def test_the_smaller_of_sequential_and_progressive_is_written() -> None:
    flat, large = jpeg(8, 8, quality=30), jpeg(640, 480, quality=92)

    for source, is_progressive in ((flat, 0), (large, 1)):
        data = pipeline.compress(source, lossless=True).data
        assert bool(Image.open(io.BytesIO(data)).info.get("progressive", 0)) is bool(is_progressive)
    assert len(data) < len(jpeg(640, 480, quality=92, progressive=True))  # libjpeg's scans of the same coefficients


def test_the_result_does_not_depend_on_the_chunks_and_compresses_no_further() -> None:
    source = jpeg(640, 480, quality=92)
    want = pipeline.compress(source, lossless=True).data

    for size in (1000, 77_777):
        assert b"".join(pipeline.stream(pieces(source, size), Settings(lossless=True))) == want
    assert pipeline.compress(want, lossless=True).report.reason == "not smaller"


def test_no_script_has_more_scans_than_memory_is_reserved_for() -> None:
    frame = frame_of(80, 80, [(1, 1)] * 4)
    planes = huffman.random_planes(np.random.default_rng(3), 80, 80, [(1, 1)] * 4, 3.0)
    spools: list[Spool] = []

    def spool() -> Spool:
        spools.append(Resources().spool())
        return spools[-1]

    made = ScanSearch(frame, rows_of(planes, frame), spool)
    made.prepare()
    for used in spools:
        used.close()

    assert made._scans == {} or len(made._scans) <= SCANS_MAX
    script = Script(len(frame.components))
    most = [max(map(len, plans)) for plans in [script._dc, *script._ac]]
    assert sum(most) <= SCANS_MAX
    assert all(isinstance(scan, Scan) for scan in made._scans)


def test_default_plans_take_little_more_than_all_plans() -> None:
    header = header_of(source := jpeg(640, 480, quality=92))
    sizes: list[int] = []
    spools: list[Spool] = []

    def spool() -> Spool:
        spools.append(Resources().spool())
        return spools[-1]

    for defaults_only in (False, True):
        made = ScanSearch(header.frame, rows_in(source), spool, defaults_only=defaults_only)
        made.prepare()
        sizes.append(sum(map(len, made.body())))
    for used in spools:
        used.close()

    assert made.codes is None
    assert sizes[0] <= sizes[1] < 1.01 * sizes[0]


def test_codes_made_from_some_rows_encode_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted rows are flat, the others have all values that samples can cause, and long runs of zeros."""
    monkeypatch.setattr(scan_search, "COUNTED_BLOCKS", 1)
    monkeypatch.setattr(scan_search, "SAMPLED_BLOCKS_DEFAULTS", 1)
    rng = np.random.default_rng(5)
    frame = frame_of(640, 320, [(1, 1)] * 3)
    rows = [np.zeros((frame.blocks_per_row, 64), np.int16) for _ in range(frame.mcu_rows)]
    for row in rows[1:]:
        kept = rng.random((frame.blocks_per_row, 64)) < rng.choice([0.0, 0.02, 0.2, 1.0], (frame.blocks_per_row, 1))
        row[kept] = (rng.integers(-1023, 1024, row.shape) >> rng.integers(0, 10, row.shape))[kept]
        row[:, 0] = rng.integers(-1024, 1024, len(row))
    rows[0][::7, 1] = 1  # a progressive frame is smaller
    spools: list[Spool] = []

    def spool() -> Spool:
        spools.append(Resources().spool())
        return spools[-1]

    made = ScanSearch(frame, iter(rows), spool, defaults_only=True)
    made.prepare()
    head = writer.header(frame, {0: np.ones(64, np.uint16)}, made.codes, ())
    data = b"".join([head, *map(bytes, made.body()), writer.END_OF_IMAGE])
    for used in spools:
        used.close()

    assert made.codes is None
    for want, found in zip(rows, rows_of(scanned(data)[0], frame), strict=True):
        np.testing.assert_array_equal(want, found)


@pytest.mark.parametrize("al", [0, 2])
def test_all_possible_symbols_have_a_code(al: int) -> None:
    frame = frame_of(80, 80, [(1, 1)])
    scans = [dc_scan(1), ac_scan(0, 1, 63, 0, al), ac_scan(0, 1, 63, 2, 1)]
    counts = Counts(frame, ScanList(scans))
    counts.counts[1, 0x55] = 7
    counts.admit_all()

    dc, first, refined = (set(counts.specs(scan)[min(scan.ss, 1), 0][1]) for scan in scans)
    assert dc == set(range(13))
    ends = {n << 4 for n in range(16)}  # EOBn and ZRL
    assert first == ends | {run << 4 | size for run in range(16) for size in range(1, 11 - al)}
    assert refined == ends | {run << 4 | 1 for run in range(16)}
    assert counts.counts[1, 0x55] == 7


def test_camera_files_become_smaller_than_with_fixed_scans() -> None:
    for path in sorted(CORPUS.glob("camera/Landscape_6.jpg")):
        source = path.read_bytes()
        made = pipeline.compress(source, lossless=True)

        assert len(made.data) < 0.965 * len(source)
        np.testing.assert_array_equal(pixels_of(source), pixels_of(made.data))
