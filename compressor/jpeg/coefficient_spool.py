"""Slabs that wait for a second pass: those of a small image as they are, others packed in a spool."""

from array import array
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compressor import scratch
from compressor.cores import cores
from compressor.jpeg.frame import SLAB_BLOCKS, Frame, Slab
from compressor.kernels import packing
from compressor.spool import Spool

Masks = NDArray[np.uint64]

HELD_BLOCKS = 1 << 14  # of an image that is not packed: 0.7 megapixels with 4:2:0
HELD_BYTES = 64 * 2 + 8 * packing.LEVELS  # of each block
TOGETHER_BYTES = 1 << 15  # of packed slabs, written at once: each access has a cost
# Peak memory while slabs are packed, and while they are unpacked.
PACKING_BYTES = 2 * (packing.BLOCK_BYTES_MAX * SLAB_BLOCKS + TOGETHER_BYTES)


def memory_bytes(frame: Frame) -> int:
    """Return the peak memory of waiting slabs, and of those that are read."""
    blocks = frame.mcu_rows * frame.blocks_per_row
    packed = PACKING_BYTES + frame.slab_blocks * HELD_BYTES
    if 0 < blocks <= HELD_BLOCKS:
        return (blocks + frame.slab_blocks) * HELD_BYTES
    return packed if frame.height else max(packed, 2 * HELD_BLOCKS * HELD_BYTES)  # not known yet: DNL


class SlabHash(Protocol):
    """A hash of slabs, which takes them in either form."""

    def add(self, slab: Slab) -> None:
        """Add a slab."""

    def add_packed(self, data: memoryview) -> None:
        """Add blocks that are packed."""


class WaitingSlabs(Protocol):
    """Slabs that are added once, from top to bottom, and then read as often as needed. The same arrays may be used for
    each that is read."""

    @property
    def count(self) -> int:
        """Number of MCU rows."""
        ...

    def add(self, slab: Slab) -> None:
        """Add the next slab."""

    def finish(self) -> None:
        """Be called after the last slab is added, before any is read."""

    def slabs(self) -> Iterator[Slab]:
        """Yield all MCU rows."""
        ...

    def masked(self, step: int = 1) -> Iterator[tuple[Slab, Masks]]:
        """Yield every `step`-th MCU row from the first on, in slabs, with the masks of
        `packing.unpack_with_masks`."""
        ...

    def close(self) -> None:
        """Free all. May be called again."""


def waiting_slabs(frame: Frame, spool: Callable[[], Spool], slab_hash: SlabHash | None = None) -> WaitingSlabs:
    """Return where the slabs of an image wait.

    spool      creates a spool when the first slab is written
    slab_hash  gets all slabs, in order
    """
    if frame.mcu_rows * frame.blocks_per_row <= HELD_BLOCKS:
        return HeldSlabs(frame, slab_hash)
    return SpooledSlabs(frame, spool, slab_hash)


class HeldSlabs:
    """The slabs of a small image, with their masks."""

    def __init__(self, frame: Frame, slab_hash: SlabHash | None = None) -> None:
        self._frame, self._hash = frame, slab_hash
        self._all: list[tuple[Slab, Masks]] = []
        self.count = 0

    def add(self, slab: Slab) -> None:
        """Copy a slab."""
        held, masks = scratch.empty(slab.shape, np.int16), scratch.empty((packing.LEVELS, len(slab)), np.uint64)
        # NumPy would release the GIL, and other threads would take it: waiting for it takes longer than the copy.
        held.data.cast("B")[:] = slab.data.cast("B")
        packing.make_masks(held, masks)
        self._all.append((held, masks))
        self.count += len(slab) // self._frame.blocks_per_row
        if self._hash is not None:
            self._hash.add(held)

    def finish(self) -> None:
        """Do nothing."""

    def slabs(self) -> Iterator[Slab]:
        """Yield all MCU rows."""
        return (slab for slab, _ in self._all)

    def masked(self, step: int = 1) -> Iterator[tuple[Slab, Masks]]:
        """Yield every `step`-th MCU row from the first on, with masks."""
        if step == 1:
            yield from self._all
            return
        blocks, first = self._frame.blocks_per_row, 0
        for slab, masks in self._all:
            if first < len(slab) // blocks:
                rows = slab.reshape(-1, blocks, 64)[first::step]
                sampled = scratch.empty((len(rows) * blocks, 64), np.int16)
                sampled.reshape(rows.shape)[...] = rows
                of_sampled = masks.reshape(packing.LEVELS, -1, blocks)[:, first::step]
                yield sampled, np.ascontiguousarray(of_sampled).reshape(packing.LEVELS, -1)
            first = (first - len(slab) // blocks) % step

    def close(self) -> None:
        """Free all slabs."""
        self._all.clear()


class SpooledSlabs:
    """Slabs packed in a spool. See `waiting_slabs`."""

    def __init__(self, frame: Frame, spool: Callable[[], Spool], slab_hash: SlabHash | None = None) -> None:
        self._frame, self._hash, self._make_spool = frame, slab_hash, spool
        blocks = frame.blocks_per_row
        # Parts of a row, since a spooled row may be longer than a slab.
        self._parts = [(at, min(SLAB_BLOCKS, blocks - at)) for at in range(0, blocks, SLAB_BLOCKS)]
        self._starts = array("q", [0])  # offset in the spool of each part of each row, and the end of the last one
        self._ends = np.empty(frame.slab_rows, np.int64)
        room = packing.BLOCK_BYTES_MAX * min(frame.slab_blocks, SLAB_BLOCKS)
        self._buffer = np.empty(room + TOGETHER_BYTES, np.uint8)
        self._waiting = 0  # bytes in it that are not written yet
        self._spool: Spool | None = None

    def add(self, slab: Slab) -> None:
        """Pack a slab."""
        if len(self._parts) == 1:
            self._pack(slab, 0, len(slab), self._frame.blocks_per_row)
        else:
            for first, blocks in self._parts:
                self._pack(slab, first, blocks, blocks)

    def _pack(self, slab: Slab, first: int, blocks: int, step: int) -> None:
        """Pack blocks. A part ends after each `step` of them."""
        if self._waiting > TOGETHER_BYTES:
            self._write()
        size = packing.pack(slab, first, blocks, step, self._ends, self._buffer[self._waiting :])
        self._waiting += size
        self._starts.frombytes((self._ends[: blocks // step] + self._starts[-1]).tobytes())

    def _write(self) -> None:
        if self._spool is None:
            self._spool = self._make_spool()
        data = self._buffer[: self._waiting].data
        if self._hash is not None:
            self._hash.add_packed(data)
        self._spool.write(data)
        self._waiting = 0

    def finish(self) -> None:
        """Write what is left."""
        self._write()
        self._buffer = np.empty(0, np.uint8)

    @property
    def count(self) -> int:
        """Number of MCU rows."""
        return (len(self._starts) - 1) // len(self._parts)

    def slabs(self) -> Iterator[Slab]:
        """Yield all MCU rows."""
        slab = self._frame.new_slab()
        for packed, first, blocks in self._packed(1):
            packing.unpack(packed, first, blocks, slab)
            if first + blocks >= self._frame.blocks_per_row:
                yield slab[: first + blocks]

    def masked(self, step: int = 1) -> Iterator[tuple[Slab, Masks]]:
        """Yield every `step`-th MCU row from the first on, with masks."""
        whole = self._frame.new_slab()
        slab, masks = whole, np.empty((0, 0), np.uint64)
        for packed, first, blocks in self._packed(step):
            if first == 0:
                slab = whole[: blocks if len(self._parts) == 1 else len(whole)]
                if masks.shape[1:] != (len(slab),):
                    masks = np.empty((packing.LEVELS, len(slab)), np.uint64)
            packing.unpack_with_masks(packed, first, blocks, slab, masks)
            if first + blocks == len(slab):
                yield slab, masks

    def _packed(self, step: int) -> Iterator[tuple[NDArray[np.uint8], int, int]]:
        """Yield packed blocks with the index of the first one in its slab, and their number: whole slabs of every
        `step`-th row, or parts of one."""
        spool, starts, per_row = self._spool, self._starts, len(self._parts)
        assert spool is not None
        together = self._frame.slab_rows * step
        for row in range(0, self.count, together):
            cores.yield_if_contended()
            if per_row > 1:
                for at, (first, blocks) in enumerate(self._parts, row * per_row):
                    data = spool.read(starts[at], starts[at + 1] - starts[at])
                    yield np.frombuffer(data, np.uint8), first, blocks
                continue
            rows = range(row, min(row + together, self.count), step)
            if step == 1:
                data = spool.read(starts[row], starts[rows.stop] - starts[row])
            else:
                data = b"".join(spool.read(starts[at], starts[at + 1] - starts[at]) for at in rows)
            yield np.frombuffer(data, np.uint8), 0, len(rows) * self._frame.blocks_per_row

    def close(self) -> None:
        """Close the spool."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None
