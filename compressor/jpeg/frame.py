"""The model of a JPEG: its headers (T.81 Annex B), and the layout of its coefficients in memory.

A **slab** (`Slab`) holds the coefficients of some consecutive MCU rows: an int16 array (rows * blocks_per_row, 64), C
order. The 64 coefficients of a block are in zig-zag order, DC absolute (prediction undone). `Frame.layout` has the
blocks of each component in a row. Slabs are the unit of work: one kernel call does a step for a slab.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.settings import Metadata
from compressor.t81 import (
    K3_DC_LUMINANCE,
    K4_DC_CHROMINANCE,
    K5_AC_LUMINANCE,
    K6_AC_CHROMINANCE,
    SOF0,
    SOF1,
    SOF2,
    SOF3,
    SOF9,
    SOF10,
    SOF11,
)

Slab = NDArray[np.int16]
SLAB_BLOCKS = 1 << 11  # of a slab, 256 KiB; one MCU row if that has more
HuffmanSpec = tuple[bytes, bytes]  # BITS and HUFFVAL as in DHT (B.2.4.2)

# (Tc, Th) → the example tables of Annex K.3.
STANDARD_HUFFMAN: dict[tuple[int, int], HuffmanSpec] = {
    (0, 0): K3_DC_LUMINANCE,
    (1, 0): K5_AC_LUMINANCE,
    (0, 1): K4_DC_CHROMINANCE,
    (1, 1): K6_AC_CHROMINANCE,
}

SOF_LS = 0xF7  # of JPEG-LS (ITU-T T.87, C.2.2): not a process of T.81, but a frame header of the same form
# Table B.1. The others (5..7, 13..15) are differential frames, of the hierarchical process.
PROCESSES = {
    SOF0: "baseline",
    SOF1: "extended",
    SOF2: "progressive",
    SOF3: "lossless",
    SOF9: "arithmetic",
    SOF10: "arithmetic progressive",
    SOF11: "arithmetic lossless",
    SOF_LS: "JPEG-LS",
}
COMPONENTS_MAX = 4  # of a scan (B.2.3), and of any image that people look at; libjpeg decodes 10
SUBSAMPLINGS = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}


def derived() -> Any:
    """Return the declaration of a field that is computed from the others."""
    return field(init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a frame (B.2.2): identifier C, unique in the frame, sampling factors H and V as in the file,
    quantization table Tq."""

    id: int
    h: int
    v: int
    tq: int


@dataclass(frozen=True)
class Frame:
    """A frame header (B.2.2). `height` is 0 if a DNL segment gives it that has not been read yet.

    sampling        (h, v) of each component inside an MCU. The MCU of a one-component frame is a single block (A.2.2)
    mcu_blocks      blocks of an MCU
    blocks_per_row  blocks of an MCU row, including dummy blocks that pad it to whole MCUs
    slab_rows       MCU rows of a slab, except for the last one of the image
    """

    width: int
    height: int
    components: tuple[Component, ...]
    precision: int = 8
    sof: int = SOF0
    sampling: tuple[tuple[int, int], ...] = derived()
    h_max: int = derived()
    v_max: int = derived()
    mcus_per_row: int = derived()
    mcu_rows: int = derived()
    mcu_blocks: int = derived()
    blocks_per_row: int = derived()
    slab_rows: int = derived()
    slab_blocks: int = derived()

    def __post_init__(self) -> None:
        sampling = tuple([(c.h, c.v) for c in self.components]) if len(self.components) > 1 else ((1, 1),)
        h_max, v_max, mcu_blocks = 1, 1, 0
        for h, v in sampling:
            h_max, v_max, mcu_blocks = max(h, h_max), max(v, v_max), mcu_blocks + h * v
        mcus_per_row, mcu_rows = -(-self.width // (8 * h_max)), -(-self.height // (8 * v_max))
        blocks_per_row = mcus_per_row * mcu_blocks
        slab_rows = max(1, SLAB_BLOCKS // blocks_per_row)
        if self.height:
            slab_rows = min(mcu_rows, slab_rows)
        self.__dict__.update(
            sampling=sampling,
            h_max=h_max,
            v_max=v_max,
            mcus_per_row=mcus_per_row,
            mcu_rows=mcu_rows,
            mcu_blocks=mcu_blocks,
            blocks_per_row=blocks_per_row,
            slab_rows=slab_rows,
            slab_blocks=slab_rows * blocks_per_row,
        )

    @property
    def process(self) -> str:
        """Name of the coding process (Table B.1)."""
        return PROCESSES.get(self.sof, "hierarchical")

    def new_slab(self) -> Slab:
        """Return a slab of which nothing is set."""
        return scratch.empty((self.slab_blocks, 64), np.int16)

    def blocks(self, index: int) -> tuple[int, int]:
        """Return the blocks across and down of a component's own samples (A.1.1), as in a scan of that component alone
        (A.2.2), without dummy blocks."""
        h, v = self.sampling[index]
        across, down = -(-self.width * h // self.h_max), -(-self.height * v // self.v_max)
        return -(-across // 8), -(-down // 8)

    @cached_property
    def layout(self) -> NDArray[np.int64]:
        """(components, 4) int64: row c is [first_block, blocks_per_line, h, v] of component c in an MCU row.

        Component c has the blocks first_block … first_block + v * blocks_per_line - 1, line by line, with
        blocks_per_line = mcus_per_row * h.
        """
        rows, first = [], 0
        for h, v in self.sampling:
            per_line = self.mcus_per_row * h
            rows.append((first, per_line, h, v))
            first += v * per_line
        return np.array(rows, np.int64)

    @property
    def subsampling(self) -> str:
        """The subsampling for people; see `subsampling_name`."""
        return subsampling_name(self.sampling)


@lru_cache(64)
def subsampling_name(sampling: tuple[tuple[int, int], ...]) -> str:
    """Return "4:2:0", "grey", or the factors "2x2,1x2,1x1" if these have no name.

    sampling  of `Frame`
    """
    if len(sampling) == 1:
        return "grey"
    luma, *chroma = sampling[:3]
    black = sampling[3:]  # of CMYK and YCCK: as fine as the first
    if luma in SUBSAMPLINGS and all(c == (1, 1) for c in chroma) and all(k == luma for k in black):
        return SUBSAMPLINGS[luma]
    return ",".join(f"{h}x{v}" for h, v in sampling)


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker segment kept verbatim.

    marker  code (0xE1 for APP1)
    data    bytes after the length
    offset  of `data` in the source; 0 for a new segment
    """

    marker: int
    data: bytes
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Scan:
    """A scan header (B.2.3).

    components  (index into Frame.components, Td, Ta) in the scan's order
    """

    components: tuple[tuple[int, int, int], ...]
    ss: int = 0
    se: int = 63
    ah: int = 0
    al: int = 0


@dataclass(slots=True)
class Header:
    """All headers before the entropy-coded data of the first scan.

    quantization  Tq → (64,) uint16 in zig-zag order as in DQT; for zeros see `zero_steps`
    huffman       (Tc, Th) → table; Tc is 0 for DC and 1 for AC
    segments      APPn and COM in order: under KEEP verbatim
    offset        of the first byte of entropy-coded data from the start of the input
    hierarchical  DHP or EXP was seen
    dnl           the frame header has no height: `scans.Scans` sets it from the DNL segment after the first scan
    trailing      APPn and COM between the first scan and EOI: filled when the slabs have been read
    notices       defects that were tolerated, for people; may grow while the slabs are read
    policy        applied to metadata as they were read
    removed       notices of metadata that the policy removed although they change how the picture is shown or trusted
    credentials   whether the file has content credentials (C2PA); they are never among `segments`
    scan_ends     of each scan, the offset of the first byte after its last MCU; filled when the slabs have been read,
                  for several scans only on request
    """

    frame: Frame
    scan: Scan
    quantization: dict[int, NDArray[np.uint16]]
    huffman: dict[tuple[int, int], HuffmanSpec]
    segments: list[Segment] = field(default_factory=list)
    restart_interval: int = 0
    jfif: bool = False
    adobe_transform: int | None = None
    hierarchical: bool = False
    dnl: bool = False
    offset: int = 0
    trailing: list[Segment] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    policy: Metadata = Metadata.KEEP
    removed: list[str] = field(default_factory=list)
    credentials: bool = False
    scan_ends: list[int] = field(default_factory=list)

    @property
    def process(self) -> str:
        """Name of the coding process: "baseline", "extended", "progressive", "lossless", "arithmetic" …"""
        return "hierarchical" if self.hierarchical else self.frame.process

    @property
    def color(self) -> str:
        """The color space: grey, ycbcr, rgb, cmyk, ycck, else "unknown". The rules are libjpeg's
        (default_decompress_parms in jdapimin.c): T.81 leaves it to the application."""
        ids = tuple(c.id for c in self.frame.components)
        match len(ids):
            case 1:
                return "grey"
            case 3 if self.jfif:
                return "ycbcr"
            case 3 if self.adobe_transform is not None:
                return "rgb" if self.adobe_transform == 0 else "ycbcr"
            case 3:
                return "rgb" if bytes(ids) == b"RGB" else "ycbcr"
            case 4:
                return "cmyk" if self.adobe_transform in (None, 0) else "ycck"
        return "unknown"

    @property
    def obstacle(self) -> str:
        """The reason why no reader of this package can decode the image, for people; "" if one can."""
        frame = self.frame
        if self.process not in ("baseline", "extended", "progressive"):
            return f"{self.process} coding process"
        if frame.precision != 8:
            return f"{frame.precision}-bit samples"
        if len(frame.components) > COMPONENTS_MAX:
            return f"{len(frame.components)} components"
        return ""

    @property
    def streams(self) -> bool:
        """True if `reader.read_slabs` can decode the image as it arrives: it is sequential, all components are in the
        first scan, and its height is known. `scans.Scans` decodes other images, and needs the whole file."""
        frame = self.frame
        whole = len(self.scan.components) == len(frame.components) <= COMPONENTS_MAX
        sequential = frame.sof in (SOF0, SOF1) and frame.precision == 8 and not self.hierarchical
        return whole and sequential and not self.dnl
