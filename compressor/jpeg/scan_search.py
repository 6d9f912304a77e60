"""The smallest JPEG with given coefficients: sequential, or progressive with a script made for the image."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from compressor.jpeg.coefficient_spool import SpooledRows
from compressor.jpeg.encoder import Row, Sequential, Statistics
from compressor.jpeg.frame import COMPONENTS_MAX, Frame, Scan
from compressor.jpeg.progressive import (
    AC_APPENDED,
    DC_APPENDED,
    Counts,
    Masks,
    Progressive,
    Specs,
    ac_scan,
    coded_bits,
    dc_alone,
    dc_scan,
)
from compressor.jpeg.tables import Codes, optimal_codes
from compressor.jpeg.writer import huffman, scan_header, sequential_scan
from compressor.spool import Spool

# What is tried, as by mozjpeg (jpeg_search_progression in jcparam.c): how many bits of a coefficient come later, and
# after which coefficient the first bits go on in a scan of their own. And what it does not: later bits for what comes
# after the first coefficients only.
AL_MAX_FIRST, AL_MAX_OTHERS = 3, 2
SPLITS = (2, 5, 8, 12, 18)
EXACT_SPLITS = (2, 5)
SAMPLED_BLOCKS = 1 << 13  # about so many, in rows spread over the image, decide on the script
SAMPLED_BLOCKS_FEW = 1 << 12  # where few scripts are tried
SAMPLED_ROWS = 512  # at most: each costs a call, however narrow the image
# By about so many, in rows as above, codes are made where few scripts are tried. All blocks would save another 0.1 % of
# 9 MP and 0.05 % of 16 MP, in a tenth more time.
COUNTED_BLOCKS = 1 << 16
SCANS_MAX = COMPONENTS_MAX * (3 + AL_MAX_FIRST)

Way = tuple[Scan, ...]  # to send the AC coefficients of a component
Coding = Sequence[tuple[Scan, Specs]]  # the scans of a file in their order, each with its Huffman tables


def ways_of(c: int, depth: int) -> list[Way]:
    """All that are tried for a component, with up to `depth` bits of each coefficient later."""
    ways: list[Way] = []
    for al in range(depth + 1):
        later = tuple(ac_scan(c, 1, 63, ah, ah - 1) for ah in range(al, 0, -1))
        ways.append((ac_scan(c, 1, 63, 0, al), *later))
        ways += [(ac_scan(c, 1, k, 0, al), ac_scan(c, k + 1, 63, 0, al), *later) for k in SPLITS]
        for k in EXACT_SPLITS if al else ():
            later = tuple(ac_scan(c, k + 1, 63, ah, ah - 1) for ah in range(al, 0, -1))
            ways.append((ac_scan(c, 1, k, 0, 0), ac_scan(c, k + 1, 63, 0, al), *later))
    return ways


def few_ways_of(c: int) -> list[Way]:
    """Four that are within 0.1 % of all, for any component: they serve smooth ones, busy ones, and what is between."""
    return [
        (ac_scan(c, 1, 2, 0, 0), ac_scan(c, 3, 63, 0, 2), ac_scan(c, 3, 63, 2, 1), ac_scan(c, 3, 63, 1, 0)),
        (ac_scan(c, 1, 2, 0, 0), ac_scan(c, 3, 63, 0, 0)),
        (ac_scan(c, 1, 2, 0, 1), ac_scan(c, 3, 63, 0, 1), ac_scan(c, 1, 63, 1, 0)),
        (ac_scan(c, 1, 5, 0, 0), ac_scan(c, 6, 63, 0, 1), ac_scan(c, 6, 63, 1, 0)),
    ]


class Script:
    """The scans that are tried, and the choice among them."""

    def __init__(self, frame: Frame, few: bool = False) -> None:
        count = len(frame.components)
        self._dc: list[Way] = [(dc_scan(count),)]
        if count > 1:
            self._dc.append(tuple(dc_alone(c) for c in range(count)))
        self._ac = [few_ways_of(c) if few else ways_of(c, AL_MAX_OTHERS if c else AL_MAX_FIRST) for c in range(count)]
        self.scans = list(dict.fromkeys(scan for ways in [self._dc, *self._ac] for way in ways for scan in way))

    def choose(self, bits: dict[Scan, float]) -> list[Scan]:
        """Those that take least, component by component, in the order in which they can be sent."""
        ways = [min(ways, key=lambda way: sum(bits[scan] for scan in way)) for ways in [self._dc, *self._ac]]
        return sorted((scan for way in ways for scan in way), key=lambda scan: (scan.ss > 0, bool(scan.ah), -scan.ah))


def sequential_bits(frame: Frame, codes: Codes, statistics: Statistics, share: float) -> float:
    """What the one scan of a sequential frame takes with its tables and header, where that share was counted."""
    bits = 0
    for c, th in enumerate(codes.selector):
        for tc, appended in ((0, DC_APPENDED), (1, AC_APPENDED & 15)):
            bits += coded_bits(statistics.counts[c, tc], codes.specs[tc, th], appended)
    return bits / share + 8 * len(huffman(codes.specs) + scan_header(frame, sequential_scan(codes)))


def counted(
    frame: Frame, scans: list[Scan], rows: Iterable[tuple[Row, Masks]], statistics: Statistics | None = None
) -> Counts:
    """The symbols of all scans, and of a sequential one where `statistics` are asked for."""
    counts = Counts(frame, scans)
    for row, masks in rows:
        counts.add(row, masks)
        if statistics is not None:
            statistics.add(row)
    counts.finish()
    return counts


def few_lead_to(frame: Frame, coding: Coding) -> bool:
    """Whether a search among few scripts can end with the scans of `coding`, whatever the coefficients."""
    scans = [scan for scan, _ in coding]
    known = Script(frame, few=True).scans
    return (len(scans) == 1 and scans[0].se == 63) or all(scan in known for scan in scans)


class Smallest:
    """Coefficient rows → spool → statistics of what is tried → bytes of the smallest.

    spool   makes one; two are used
    packed  as for SpooledRows
    few     scripts are tried, by a smaller sample: the search takes a fixed time, much of that of a small image
    coding  of a source with these coefficients. Where few scripts lead to the very same, it is a result of such a
            search and stays as it is: all scripts are for other sources
    codes   of the sequential scan; None where the frame is progressive
    """

    codes: Codes | None = None

    def __init__(
        self,
        frame: Frame,
        rows: Iterable[Row],
        spool: Callable[[], Spool],
        packed: Callable[[memoryview], object] = lambda data: None,
        few: bool = False,
        coding: Coding = (),
    ) -> None:
        self._frame, self._rows, self._make, self._few, self._coding = frame, rows, spool, few, list(coding)
        self._spooled = SpooledRows(frame, spool, packed)
        self._scans: dict[Scan, Specs] = {}

    def prepare(self) -> None:
        """Spool all rows and decide."""
        for row in self._rows:
            self._spooled.add(row)
            del row  # the last one would stay while others are counted
        self._spooled.finish()
        if self._coding and few_lead_to(self._frame, self._coding):
            self._search(few=True)
            if self._found() == self._coding:
                return
        self._search(self._few)

    def _found(self) -> list[tuple[Scan, Specs]]:
        """The coding that was decided on."""
        if self.codes is not None:
            return [(sequential_scan(self.codes), self.codes.specs)]
        return list(self._scans.items())

    def _search(self, few: bool) -> None:
        """Decide by some rows, spread over the image; then count all of them, or more."""
        frame, spooled = self._frame, self._spooled
        self.codes, self._scans = None, {}
        blocks = SAMPLED_BLOCKS_FEW if few else SAMPLED_BLOCKS
        step = max(1, spooled.count * frame.blocks_per_row // blocks, -(-spooled.count // SAMPLED_ROWS))
        share = -(-spooled.count // step) / spooled.count
        script, statistics = Script(frame, few), Statistics(frame)
        counts = counted(frame, script.scans, spooled.masked(step), statistics)
        bits = counts.bits(share)
        chosen = script.choose(bits)
        codes = optimal_codes(statistics.counts)
        if sum(bits[scan] for scan in chosen) >= sequential_bits(frame, codes, statistics, share):
            self.codes = codes if step == 1 else self._sequential_codes()
            return
        if step > 1:
            step = max(1, spooled.count * frame.blocks_per_row // COUNTED_BLOCKS) if few else 1
            counts = counted(frame, chosen, spooled.masked(step))
            if step > 1:
                counts.admit_all()
        self._scans = {scan: counts.specs(scan)[0] for scan in chosen}

    def _sequential_codes(self) -> Codes:
        statistics = Statistics(self._frame)
        for row in self._spooled.rows():
            statistics.add(row)
        return optimal_codes(statistics.counts)

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data; of a progressive frame all scans with their tables and headers."""
        if self.codes is not None:
            yield from Sequential(self._frame, self.codes).code_rows(self._spooled.rows())
            return
        progressive = Progressive(self._frame, self._scans, self._make())
        progressive.add(self._spooled.masked())
        self._spooled.close()
        yield from progressive.chunks()
