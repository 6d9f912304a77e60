"""Writing of marker segments of sequential and progressive JPEGs (T.81 Annex B) from the model in `frame`."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np

from compressor.jpeg.frame import Component, Frame, HuffmanSpec, Scan, Segment
from compressor.jpeg.tables import Codes, Table
from compressor.t81 import DHT, DQT, SOF0, SOF1, SOF2, SOI, SOS

END_OF_IMAGE = b"\xff\xd9"
SAMPLING = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}


def frame_for(width: int, height: int, channels: int, subsampling: str) -> Frame:
    """Return the frame of an image from pixels: grey, or YCbCr; each component has its own quantization table."""
    if channels == 1:
        return Frame(width, height, (Component(1, 1, 1, 0),))
    h, v = SAMPLING[subsampling]
    return Frame(width, height, (Component(1, h, v, 0), Component(2, 1, 1, 1), Component(3, 1, 1, 2)))


def segment(marker: int, data: bytes) -> bytes:
    """Return a marker segment: marker, length, data (B.1.1.4)."""
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


def dqt(tables: Mapping[int, Table]) -> bytes:
    """Return DQT (B.2.4.1), with 16-bit elements only if a table needs them."""
    data = b""
    for tq, table in sorted(tables.items()):
        pq, elements = _elements(table.tobytes())
        data += bytes([pq << 4 | tq]) + elements
    return segment(DQT, data)


@lru_cache(64)
def _elements(table: bytes) -> tuple[int, bytes]:
    """Return Pq and the elements in DQT of a table, 64 uint16."""
    steps = np.frombuffer(table, np.uint16)
    wide = int(steps.max()) > 255
    return int(wide), steps.astype(">u2" if wide else "u1").tobytes()


def sof(frame: Frame, tables: Mapping[int, Table], progressive: bool) -> bytes:
    """Return SOF (B.2.2): progressive, or baseline, or extended sequential if a quantization table has elements over
    8 bits."""
    marker = SOF2 if progressive else SOF0
    if not progressive and any(_elements(table.tobytes())[0] for table in tables.values()):
        marker = SOF1
    data = bytes([frame.precision]) + frame.height.to_bytes(2, "big") + frame.width.to_bytes(2, "big")
    data += bytes([len(frame.components)])
    for component in frame.components:
        data += bytes([component.id, component.h << 4 | component.v, component.tq])
    return segment(marker, data)


def dht(specs: Mapping[tuple[int, int], HuffmanSpec]) -> bytes:
    """Return DHT (B.2.4.2), all tables in one segment."""
    return segment(DHT, b"".join([bytes([tc << 4 | th]) + bits + values for (tc, th), (bits, values) in specs.items()]))


def sos(frame: Frame, scan: Scan) -> bytes:
    """Return SOS (B.2.3)."""
    data = bytes([len(scan.components)])
    for index, td, ta in scan.components:
        data += bytes([frame.components[index].id, td << 4 | ta])
    return segment(SOS, data + bytes([scan.ss, scan.se, scan.ah << 4 | scan.al]))


def sequential_scan(codes: Codes) -> Scan:
    """Return the one interleaved scan of a sequential frame."""
    return Scan(tuple([(index, th, th) for index, th in enumerate(codes.selector)]))


def header(frame: Frame, tables: Mapping[int, Table], codes: Codes | None, segments: Iterable[Segment]) -> bytes:
    """Return all bytes before the entropy-coded data of a sequential frame or, if `codes` is None, before the scans of
    a progressive one."""
    scan = () if codes is None else (dht(codes.specs), sos(frame, sequential_scan(codes)))
    return b"".join(
        [
            bytes([0xFF, SOI]),
            *[segment(kept.marker, kept.data) for kept in segments],
            dqt(tables),
            sof(frame, tables, codes is None),
            *scan,
        ]
    )
