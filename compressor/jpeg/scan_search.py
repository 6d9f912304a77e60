"""Search for the smallest JPEG with given coefficients: sequential, or progressive with a script for the image."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain

import numpy as np

from compressor.jpeg.coefficient_spool import Masks, SlabHash, waiting_slabs
from compressor.jpeg.encoder import Sequential, Statistics
from compressor.jpeg.frame import COMPONENTS_MAX, Frame, Scan, Slab
from compressor.jpeg.progressive import (
    AC_APPENDED,
    DC_APPENDED,
    Counts,
    Progressive,
    ScanList,
    Specs,
    ac_scan,
    dc_alone,
    dc_scan,
)
from compressor.jpeg.tables import Codes, optimal_codes
from compressor.jpeg.writer import dht, sequential_scan, sos
from compressor.spool import Spool

# Candidates are those of mozjpeg (jpeg_search_progression in jcparam.c): how many bits of a coefficient are refined
# later, and after which coefficient the first bits continue in another scan. Beyond mozjpeg, the first coefficients may
# be sent exactly, and only the others refined (EXACT_SPLITS).
AL_MAX_FIRST, AL_MAX_OTHERS = 3, 2
SPLITS = (2, 5, 8, 12, 18)
EXACT_SPLITS = (2, 5)
SAMPLED_BLOCKS = 1 << 13  # approximate sample, in rows spread over the image, that decides on the script
SAMPLED_BLOCKS_DEFAULTS = 1 << 12  # if only default plans are tried
SAMPLED_ROWS = 512  # at most: each costs an access to the spool, however narrow the image
# The approximate sample, in rows as above, from which codes are made if only default plans are tried. All blocks would
# save another 0.1 % of 9 MP and 0.05 % of 16 MP, in a tenth more time.
COUNTED_BLOCKS = 1 << 16
SCANS_MAX = COMPONENTS_MAX * (3 + AL_MAX_FIRST)

AcScanPlan = tuple[Scan, ...]  # scans that send all AC coefficients of a component
Coding = Sequence[tuple[Scan, Specs]]  # the scans of a file in order, each with its Huffman tables


def ac_scan_plans(c: int, depth: int) -> list[AcScanPlan]:
    """Return all candidates for a component, with up to `depth` refined bits of each coefficient."""
    plans: list[AcScanPlan] = []
    for al in range(depth + 1):
        later = tuple(ac_scan(c, 1, 63, ah, ah - 1) for ah in range(al, 0, -1))
        plans.append((ac_scan(c, 1, 63, 0, al), *later))
        plans += [(ac_scan(c, 1, k, 0, al), ac_scan(c, k + 1, 63, 0, al), *later) for k in SPLITS]
        for k in EXACT_SPLITS if al else ():
            later = tuple(ac_scan(c, k + 1, 63, ah, ah - 1) for ah in range(al, 0, -1))
            plans.append((ac_scan(c, 1, k, 0, 0), ac_scan(c, k + 1, 63, 0, al), *later))
    return plans


def default_scan_plans(c: int) -> list[AcScanPlan]:
    """Return four plans that are within 0.1 % of all, for any component: smooth, detailed, or in between."""
    return [
        (ac_scan(c, 1, 2, 0, 0), ac_scan(c, 3, 63, 0, 2), ac_scan(c, 3, 63, 2, 1), ac_scan(c, 3, 63, 1, 0)),
        (ac_scan(c, 1, 2, 0, 0), ac_scan(c, 3, 63, 0, 0)),
        (ac_scan(c, 1, 2, 0, 1), ac_scan(c, 3, 63, 0, 1), ac_scan(c, 1, 63, 1, 0)),
        (ac_scan(c, 1, 5, 0, 0), ac_scan(c, 6, 63, 0, 1), ac_scan(c, 6, 63, 1, 0)),
    ]


class Script:
    """The candidates of a progressive script.

    defaults_only  only `default_scan_plans` are tried
    listed         all scans of the candidates
    """

    def __init__(self, count: int, defaults_only: bool = False) -> None:
        self._dc: list[tuple[Scan, ...]] = [(dc_scan(count),)]
        if count > 1:
            self._dc.append(tuple(dc_alone(c) for c in range(count)))
        self._ac = [
            default_scan_plans(c) if defaults_only else ac_scan_plans(c, AL_MAX_OTHERS if c else AL_MAX_FIRST)
            for c in range(count)
        ]
        scans = list(dict.fromkeys(scan for plans in [self._dc, *self._ac] for plan in plans for scan in plan))
        self.listed = ScanList(scans)
        self._order = [(scan.ss > 0, bool(scan.ah), -scan.ah) for scan in scans]
        index = self.listed.index
        self._plans = [[[index[scan] for scan in plan] for plan in plans] for plans in [self._dc, *self._ac]]

    def choose(self, bits: Sequence[float]) -> tuple[list[Scan], float]:
        """Return the scans that take the fewest bits, component by component, in an order in which they can be sent,
        and these bits.

        bits  of each scan
        """
        plans = [min(plans, key=lambda plan: sum(map(bits.__getitem__, plan))) for plans in self._plans]
        scans = self.listed.scans
        chosen = sorted(chain.from_iterable(plans), key=self._order.__getitem__)
        return [scans[s] for s in chosen], sum(map(bits.__getitem__, chosen))


@cache
def script_of(components: int, defaults_only: bool) -> Script:
    """Return the script for a number of components."""
    return Script(components, defaults_only)


def sequential_bits(frame: Frame, codes: Codes, statistics: Statistics, share: float) -> float:
    """Return the bits of a sequential frame's scan with its tables and header, of which `share` was counted."""
    dc, ac, _ = codes.arrays  # lengths are in their lowest bits
    counts = statistics.counts
    bits = np.vdot(counts[:, 0], (dc & 63) + DC_APPENDED) + np.vdot(counts[:, 1], (ac & 63) + (AC_APPENDED & 15))
    return int(bits) / share + 8 * len(dht(codes.specs) + sos(frame, sequential_scan(codes)))


def counted(
    frame: Frame, listed: ScanList, slabs: Iterable[tuple[Slab, Masks]], statistics: Statistics | None = None
) -> Counts:
    """Count the symbols of all scans, and those of a sequential one in `statistics`."""
    counts = Counts(frame, listed)
    for slab, masks in slabs:
        counts.add(slab, masks)
        if statistics is not None:
            statistics.add(slab)
    counts.finish()
    return counts


def defaults_lead_to(frame: Frame, coding: Coding) -> bool:
    """Return whether a search among the default plans could result in the scans of `coding` for some coefficients."""
    scans = [scan for scan, _ in coding]
    known = script_of(len(frame.components), True).listed.scans
    return (len(scans) == 1 and scans[0].se == 63) or all(scan in known for scan in scans)


class ScanSearch:
    """Encoding of slabs by the smallest candidate: all are kept, symbols counted, and the winner encoded.

    spool          creates a spool; two are used
    slab_hash      as in `waiting_slabs`
    defaults_only  try only default plans, by a smaller sample: the search takes a fixed time, which is long for a small
                   image
    coding         of a source with these coefficients. If the search among default plans finds the same, the source is
                   the result of such a search and is kept. Only other sources are searched among all plans
    codes          of the sequential scan; None if the frame is progressive
    """

    codes: Codes | None = None

    def __init__(
        self,
        frame: Frame,
        slabs: Iterable[Slab],
        spool: Callable[[], Spool],
        slab_hash: SlabHash | None = None,
        defaults_only: bool = False,
        coding: Coding = (),
    ) -> None:
        self._frame, self._slabs, self._make_spool, self._defaults_only, self._coding = (
            frame,
            slabs,
            spool,
            defaults_only,
            list(coding),
        )
        self._waiting = waiting_slabs(frame, spool, slab_hash)
        self._scans: dict[Scan, Specs] = {}

    def prepare(self) -> None:
        """Read all slabs and search."""
        for slab in self._slabs:
            self._waiting.add(slab)
            del slab  # the last one would stay in memory while others are counted
        self._waiting.finish()
        if self._coding and defaults_lead_to(self._frame, self._coding):
            self._search(defaults_only=True)
            if self._found() == self._coding:
                return
        self._search(self._defaults_only)

    def _found(self) -> list[tuple[Scan, Specs]]:
        """Return the coding that was chosen."""
        if self.codes is not None:
            return [(sequential_scan(self.codes), self.codes.specs)]
        return list(self._scans.items())

    def _search(self, defaults_only: bool) -> None:
        """Choose by some rows, spread over the image; then count all of them, or more."""
        frame, waiting = self._frame, self._waiting
        self.codes, self._scans = None, {}
        blocks = SAMPLED_BLOCKS_DEFAULTS if defaults_only else SAMPLED_BLOCKS
        step = max(1, waiting.count * frame.blocks_per_row // blocks, -(-waiting.count // SAMPLED_ROWS))
        share = -(-waiting.count // step) / waiting.count
        script, statistics = script_of(len(frame.components), defaults_only), Statistics(frame)
        counts = counted(frame, script.listed, waiting.masked(step), statistics)
        chosen, bits = script.choose(counts.bits(share).tolist())
        codes = optimal_codes(statistics.counts)
        if bits >= sequential_bits(frame, codes, statistics, share):
            self.codes = codes if step == 1 else self._sequential_codes()
            return
        if step > 1:
            step = max(1, waiting.count * frame.blocks_per_row // COUNTED_BLOCKS) if defaults_only else 1
            counts = counted(frame, ScanList(chosen), waiting.masked(step))
            if step > 1:
                counts.admit_all()
        self._scans = {scan: counts.specs(scan) for scan in chosen}

    def _sequential_codes(self) -> Codes:
        """Return the best codes for all rows."""
        statistics = Statistics(self._frame)
        for slab in self._waiting.slabs():
            statistics.add(slab)
        return optimal_codes(statistics.counts)

    def body(self) -> Iterator[memoryview]:
        """Yield the entropy-coded data; of a progressive frame all scans with their tables and headers."""
        if self.codes is not None:
            yield from Sequential(self._frame, self.codes).code_slabs(self._waiting.slabs())
            return
        progressive = Progressive(self._frame, self._scans, self._make_spool())
        progressive.add(self._waiting.masked())
        self._waiting.close()
        yield from progressive.chunks()
