"""The smallest JPEG with given coefficients: sequential, or progressive with a script made for the image."""

from collections.abc import Callable, Iterable, Iterator

from compressor.jpeg.encoder import Row, Sequential, Statistics
from compressor.jpeg.frame import COMPONENTS_MAX, Frame, Scan
from compressor.jpeg.progressive import (
    AC_APPENDED,
    DC_APPENDED,
    Coder,
    Count,
    Progressive,
    ac_scan,
    coded_bits,
    dc_scan,
    segments,
)
from compressor.jpeg.spooled import SpooledRows
from compressor.jpeg.tables import Codes, HuffmanSpec, optimal_codes
from compressor.jpeg.writer import huffman, scan_header, sequential_scan
from compressor.memory import Spool

Specs = dict[tuple[int, int], HuffmanSpec]

# What is tried, as by mozjpeg (jpeg_search_progression in jcparam.c): how many bits of a coefficient come later, and
# after which coefficient the first bits go on in a scan of their own.
AL_MAX_FIRST, AL_MAX_OTHERS = 3, 2
SPLITS = (2, 5, 8, 12, 18)
SAMPLED_BLOCKS = 1 << 13  # about so many, in rows spread over the image, decide on the script
SAMPLED_ROWS = 512  # at most: each costs a call for every scan that is tried, however narrow the image
SCANS_MAX = 1 + COMPONENTS_MAX * (2 + AL_MAX_FIRST)


def counted(frame: Frame, scans: Iterable[Scan], rows: Iterable[Row]) -> dict[Scan, tuple[Specs, int]]:
    """The best codes of each scan, and its bits with all that stands before them."""
    counts = [Count(frame, scan) for scan in scans]
    for row in rows:
        for count in counts:
            count.add(row)
    return {count.scan: count.finish() for count in counts}


def choose_script(frame: Frame, rows: Iterable[Row], share: float) -> list[Scan]:
    """The scans that take least, component by component.

    rows   some of the image's rows
    share  of the image that they are
    """

    components = range(len(frame.components))
    depth = [AL_MAX_FIRST if c == 0 else AL_MAX_OTHERS for c in components]
    refinements = [[ac_scan(c, 1, 63, al, al - 1) for al in range(depth[c], 0, -1)] for c in components]
    ways = [[way for al in range(depth[c] + 1) for way in firsts(c, al)] for c in components]
    tried = (scan for c in components for way in [*ways[c], refinements[c]] for scan in way)
    found = counted(frame, tried, rows)
    known = {scan: bits / share + 8 * len(segments(frame, scan, specs)) for scan, (specs, bits) in found.items()}

    def cost(way: list[Scan]) -> float:
        later = [scan for scan in refinements[way[0].components[0][0]] if scan.ah <= way[0].al]
        return sum(known[scan] for scan in way + later)

    best = [min(ways[c], key=cost) for c in components]
    late = [scan for c in components for scan in refinements[c] if scan.ah <= best[c][0].al]
    return [dc_scan(len(components)), *(scan for way in best for scan in way), *sorted(late, key=lambda scan: -scan.ah)]


def firsts(c: int, al: int) -> list[list[Scan]]:
    """Ways to send the first bits of a component's AC coefficients, in one scan or two."""
    return [[ac_scan(c, 1, 63, 0, al)], *([ac_scan(c, 1, k, 0, al), ac_scan(c, k + 1, 63, 0, al)] for k in SPLITS)]


def sequential_bits(frame: Frame, codes: Codes, statistics: Statistics) -> int:
    """What the one scan of a sequential frame takes with its tables and header."""
    bits = 8 * len(huffman(codes.specs) + scan_header(frame, sequential_scan(codes)))
    for c, th in enumerate(codes.selector):
        for tc, appended in ((0, DC_APPENDED), (1, AC_APPENDED & 15)):
            bits += coded_bits(statistics.counts[c, tc], codes.specs[tc, th], appended)
    return bits


class Smallest:
    """Coefficient rows → spool → statistics of what is tried → bytes of the smallest.

    spool   makes one; two are used
    packed  as for SpooledRows
    codes   of the sequential scan; None where the frame is progressive
    """

    codes: Codes | None = None

    def __init__(
        self,
        frame: Frame,
        rows: Iterable[Row],
        spool: Callable[[], Spool],
        packed: Callable[[memoryview], object] = lambda data: None,
    ) -> None:
        self._frame, self._rows, self._make = frame, rows, spool
        self._spooled = SpooledRows(frame, spool, packed)
        self._scans: dict[Scan, Specs] = {}

    def _first_pass(self) -> Statistics:
        statistics = Statistics(self._frame)
        for row in self._rows:
            statistics.add(row)
            self._spooled.add(row)
        return statistics

    def prepare(self) -> None:
        """Decide."""
        frame, spooled = self._frame, self._spooled
        statistics = self._first_pass()
        step = max(1, spooled.count * frame.blocks_per_row // SAMPLED_BLOCKS, -(-spooled.count // SAMPLED_ROWS))
        share = -(-spooled.count // step) / spooled.count
        script = choose_script(frame, spooled.rows(step), share)
        found = counted(frame, script, spooled.rows())
        progressive = sum(bits + 8 * len(segments(frame, scan, specs)) for scan, (specs, bits) in found.items())
        codes = optimal_codes(statistics.counts)
        if progressive < sequential_bits(frame, codes, statistics):
            self._scans = {scan: found[scan][0] for scan in script}
        else:
            self.codes = codes

    def body(self) -> Iterator[memoryview]:
        """The entropy-coded data; of a progressive frame all scans with their tables and headers."""
        if self.codes is not None:
            yield from Sequential(self._frame, self.codes).code_rows(self._spooled.rows())
            return
        coders = [Coder(self._frame, scan, specs) for scan, specs in self._scans.items()]
        progressive = Progressive(coders, self._make())
        progressive.add(self._spooled.rows())
        self._spooled.close()
        yield from progressive.chunks()
