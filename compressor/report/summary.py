"""A run in numbers, for a terminal, a page or a program, and the projection of a sample's savings to a whole bucket."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import Any, Literal

from compressor.ledger.records import ObjectOutcome, Reason
from compressor.ledger.totals import Total
from compressor.report.money import Money, Prices, money_of
from compressor.report.scores import Scores
from compressor.report.space import Space
from compressor.settings import VERSION, Bounds, Footprint, Settings

Mode = Literal["copy", "in place", "dry run", "restore", "restore dry run"]

PROBLEMS_MAX = 100
# Failures of the image itself, not of the store or the run.
IMAGE_FAILURES = {Reason.BROKEN, Reason.LIMIT, Reason.VERIFY, Reason.UNSTRIPPABLE}
FORMAT_CHANGE = ("format", "result_format", "objects", "bytes_in", "bytes_out", "saved_bytes")  # fields in JSON
CONFIDENCE = 0.95
# Quantiles of Student's t at 97.5 %, for 1 … 4 degrees of freedom, where the expansion of `t_quantile` is not good
# enough; Abramowitz and Stegun, table 26.10.
T_FEW = (12.706, 4.303, 3.182, 2.776)


@dataclass(frozen=True, slots=True)
class Progress:
    """A run's progress.

    objects     finished objects, whatever their outcome, including those of earlier runs that this one resumes
    bytes_in    their sizes before
    bytes_out   their sizes now; unchanged for those that were not compressed
    listed_all  the listing is complete
    waiting     why the run waits: "asked to slow down, 2.0 s"; "" unless it does
    found       objects that the listing has given so far, and `found_bytes` their sizes; of a dry run over a sample,
                once all are listed: the sample. 0 where they are not counted
    """

    objects: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    failed: int = 0
    listed_all: bool = False
    waiting: str = ""
    found: int = 0
    found_bytes: int = 0

    @property
    def total_objects(self) -> int:
        """The number of all objects; 0 while it is not known."""
        return max(self.found, self.objects) if self.listed_all and self.found else 0


@dataclass(frozen=True, slots=True)
class Problem:
    """An object that a person should check: it failed, or was skipped.

    known  an earlier, completed run has reported it, and nothing has changed since
    """

    key: str
    size: int
    reason: Reason
    error: str
    notices: tuple[str, ...] = ()
    known: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """An estimate of what all objects would save, from a sample of them.

    low, high  the confidence interval of `saved_bytes`; equal where all objects were read
    """

    objects: int
    bytes_in: int
    sampled_objects: int
    sampled_bytes: int
    saved_bytes: int
    low: int
    high: int
    confidence: float = CONFIDENCE

    @property
    def saved(self) -> float:
        return self.saved_bytes / self.bytes_in if self.bytes_in else 0.0

    def rounded(self) -> str:
        """Return the share with its significant digits: 31% ± 2%, 31.2% ± 0.4%; 31.2% where all objects were read."""
        if self.low == self.high:
            return f"{self.saved:.1%}"
        margin = max(self.high - self.saved_bytes, self.saved_bytes - self.low) / max(1, self.bytes_in)
        digits = 0 if margin >= 0.01 else 1
        return f"{self.saved:.{digits}%} ± {margin:.{digits}%}"


@dataclass(frozen=True, slots=True)
class Sample:
    """An object's whole file, before and after."""

    key: str
    before: bytes
    after: bytes
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The result of a run.

    source, target  URLs, without secrets; equal for a run in place
    started, ended  Unix times of this process; wall_seconds: the duration of the run in all processes
    interrupted     the run was not completed
    problems        at most PROBLEMS_MAX; `problems_more`: how many others exist
    notices         what was not carried over, and for how many objects
    stage_seconds   CPU time of the codec by stage; `other_seconds`: of everything else
    memory_byte_seconds  memory that objects had reserved and processes occupied, times seconds
    footprint       estimates of what that used; None where they were not requested
    keep            prefix of the kept originals; None where none are kept
    versioned       the store keeps replaced objects as versions
    prices          what the operator pays; None where no price was given
    known_failures  failures that are known, as in Problem, by reason
    accept_failures a run whose failures are all known is a success
    failed_copied   images that failed are at the destination as they were
    histogram       compressed objects by what they saved, in steps of 5 %: the first saved less than 5 %; () where
                    that was not counted
    scores          of the compressed objects whose score was measured; None where none was
    min_score       lowest score that a result may have; None: any
    """

    source: str
    target: str
    mode: Mode
    settings: Settings
    started: float
    ended: float
    wall_seconds: float
    interrupted: bool = False
    totals: tuple[Total, ...] = ()
    problems: tuple[Problem, ...] = ()
    problems_more: int = 0
    notices: Mapping[str, int] = field(default_factory=dict)
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    other_seconds: float = 0.0
    memory_byte_seconds: float = 0.0
    footprint: Footprint | None = None
    projection: Projection | None = None
    ledger: str = ""
    keep: str | None = None
    versioned: bool = False
    prices: Prices | None = None
    histogram: tuple[int, ...] = ()
    scores: Scores | None = None
    min_score: float | None = None
    samples: tuple[Sample, ...] = ()
    known_failures: Mapping[str, int] = field(default_factory=dict)
    accept_failures: bool = False
    failed_copied: bool = False

    @property
    def objects(self) -> int:
        return sum(total.objects for total in self.totals)

    @property
    def bytes_in(self) -> int:
        return sum(total.bytes_in for total in self.totals)

    @property
    def bytes_out(self) -> int:
        """The bytes after the run; objects that were not compressed count with their size before."""
        return self.bytes_in - self.saved_bytes

    @property
    def saved_bytes(self) -> int:
        return sum(total.saved_bytes for total in self.totals)

    @property
    def saved(self) -> float:
        """The saved share of all bytes that were read or listed."""
        return self.saved_bytes / self.bytes_in if self.bytes_in else 0.0

    @property
    def failed(self) -> int:
        return self.count(ObjectOutcome.FAILED)

    @property
    def missing(self) -> int:
        """Images that failed and were not copied to the destination, where they would keep all their metadata."""
        if self.mode != "copy" or self.failed_copied:
            return 0
        failures = (total for total in self.totals if total.outcome is ObjectOutcome.FAILED)
        return sum(total.objects for total in failures if total.reason in IMAGE_FAILURES)

    @property
    def new_failures(self) -> int:
        """Failures that no earlier run has reported, or whose objects were tried again."""
        return self.failed - sum(self.known_failures.values())

    @property
    def accepted_failures(self) -> Mapping[str, int]:
        """Failures that do not prevent success, by reason."""
        return self.known_failures if self.accept_failures else {}

    @property
    def succeeded(self) -> bool:
        """True if the run was completed, without failures other than accepted ones."""
        return not self.interrupted and self.failed == sum(self.accepted_failures.values())

    @property
    def restores(self) -> bool:
        """True if originals were put back, or would be."""
        return self.mode in ("restore", "restore dry run")

    @property
    def space(self) -> Space | None:
        """The space that the objects take; None where nothing was compressed, or was only to be estimated."""
        if self.mode == "copy":
            delivered = sum(total.bytes_out for total in self.totals if total.outcome.changed)
            delivered += sum(total.bytes_in for total in self.totals if total.outcome is ObjectOutcome.COPIED)
            if self.failed_copied:
                failures = (total for total in self.totals if total.outcome is ObjectOutcome.FAILED)
                delivered += sum(total.bytes_in for total in failures if total.reason in IMAGE_FAILURES)
            return Space(self.bytes_in, self.bytes_in + delivered, self.bytes_out, self.bytes_in, copied=True)
        if self.mode != "in place":
            return None
        replaced = sum(total.bytes_in for total in self.totals if total.outcome.changed)
        originals, versions = (replaced if held else 0 for held in (self.keep is not None, self.versioned))
        return Space(self.bytes_in, self.bytes_out + originals + versions, self.bytes_out, originals, versions)

    @property
    def money(self) -> Money | None:
        """The savings of the run, or of a dry run once it is carried out, in money; None without prices."""
        if self.prices is None or self.restores:
            return None
        saved = self.saved_bytes if self.projection is None else self.projection.saved_bytes
        return money_of(self.prices, saved, -saved if self.space is None else self.space.added)

    @property
    def money_per_year_range(self) -> tuple[float, float] | None:
        """The confidence interval of the savings in a year, in money; None if they are no estimate."""
        estimate = self.projection
        if self.prices is None or estimate is None or estimate.low == estimate.high:
            return None
        low, high = (money_of(self.prices, saved, -saved).per_year for saved in (estimate.low, estimate.high))
        return low, high

    def avoided_per_year(self, rate: Bounds) -> Bounds:
        """Return what one year without the saved bytes avoids, at a rate per GB and year: a scenario."""
        saved = self.saved_bytes if self.projection is None else self.projection.saved_bytes
        gigabytes = max(0, saved) / 1e9
        return Bounds(rate.low * gigabytes, rate.central * gigabytes, rate.high * gigabytes)

    def count(self, *outcomes: ObjectOutcome) -> int:
        """Return how many objects had one of these outcomes."""
        return sum(total.objects for total in self.totals if total.outcome in outcomes)

    def by_outcome(self) -> list[Total]:
        """Return totals by outcome, reason and formats, the largest savings first. Failures are not divided by reason:
        `by_failure` does that."""
        groups: dict[tuple[ObjectOutcome, Reason, str, str], list[Total]] = {}
        for total in self.totals:
            reason = Reason.NONE if total.outcome is ObjectOutcome.FAILED else total.reason
            groups.setdefault((total.outcome, reason, total.format, total.result_format), []).append(total)
        order = list(ObjectOutcome)
        return sorted(
            (_sum(*key, members) for key, members in groups.items()),
            key=lambda total: (order.index(total.outcome), -total.saved_bytes, -total.bytes_in, total.format),
        )

    def format_changes(self) -> list[Total]:
        """Return totals of the objects whose result has another format, by both formats, the largest savings first."""
        groups: dict[tuple[str, str], list[Total]] = {}
        for total in self.totals:
            if total.result_format:
                groups.setdefault((total.format, total.result_format), []).append(total)
        found = [_sum(ObjectOutcome.COMPRESSED, Reason.NONE, *key, members) for key, members in groups.items()]
        return sorted(found, key=lambda total: (-total.saved_bytes, total.format, total.result_format))

    def by_failure(self, outcome: ObjectOutcome = ObjectOutcome.FAILED) -> list[Total]:
        """Return totals of failures, or of another outcome, by reason, the most frequent first."""
        groups: dict[Reason, list[Total]] = {}
        for total in self.totals:
            if total.outcome is outcome:
                groups.setdefault(total.reason, []).append(total)
        found = [_sum(outcome, reason, "", "", members) for reason, members in groups.items()]
        return sorted(found, key=lambda total: (-total.objects, total.reason))


def _sum(outcome: ObjectOutcome, reason: Reason, format: str, result_format: str, totals: list[Total]) -> Total:
    return Total(
        outcome,
        reason,
        format,
        "",
        sum(total.objects for total in totals),
        sum(total.bytes_in for total in totals),
        sum(total.bytes_out for total in totals),
        sum(total.cpu_seconds for total in totals),
        sum(total.memory_byte_seconds for total in totals),
        result_format,
    )


def project(sample: Iterable[tuple[int, int]], objects: int, bytes_in: int) -> Projection:
    """Return what `objects` of `bytes_in` together would save, from (size, saving) of some that were drawn at random
    without replacement. This is the ratio estimator and its variance of Cochran, Sampling Techniques (3rd ed.), section
    6.4, with the sample's mean size in the variance, which gives better coverage where a few objects are large:

        R = Σy / Σx        Y = R X        v(Y) = X² / (Σx)² · n (1 − n/N) · Σ(y − R x)² / (n − 1)

    with Student's t of n − 1 degrees of freedom, clipped to what is possible. It takes one pass in integers: a sample
    of any length can be streamed.
    """
    n = x = y = xx = xy = yy = 0
    for size, saved in sample:
        n, x, y = n + 1, x + size, y + saved
        xx, xy, yy = xx + size * size, xy + size * saved, yy + saved * saved
    if n >= objects:
        total = min(max(y, 0), bytes_in)
        return Projection(objects, bytes_in, n, x, total, total, total)
    if x == 0 or n < 2:  # nothing to scale, or no estimate of the variance
        total = round(min(max(bytes_in * y / x, 0), bytes_in)) if x else 0
        return Projection(objects, bytes_in, n, x, total, 0, bytes_in)
    ratio = y / x
    residuals = (yy * x * x - 2 * y * x * xy + y * y * xx) / (x * x)  # Σ(y − R x)², the numerator without rounding
    deviation = bytes_in / x * math.sqrt(n * (1 - n / objects) * max(residuals, 0.0) / (n - 1))
    margin = t_quantile(n - 1) * deviation
    total, low, high = (
        round(min(max(value, 0), bytes_in))
        for value in (ratio * bytes_in, ratio * bytes_in - margin, ratio * bytes_in + margin)
    )
    return Projection(objects, bytes_in, n, x, total, low, high)


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, to 0.001: Abramowitz and Stegun 26.7.5; a table for T_FEW."""
    if freedom <= len(T_FEW):
        return T_FEW[freedom - 1]
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, 1))


def _scores_as_json(scores: Scores) -> dict[str, Any]:
    return {
        "objects": scores.objects,
        "minimum": scores.minimum,
        "percentile_10": scores.percentile_10,
        "median": scores.median,
        "worst": [{"key": key, "score": score} for key, score in scores.worst],
    }


def _money_as_json(summary: Summary) -> dict[str, Any] | None:
    if (money := summary.money) is None:
        return None
    low, high = summary.money_per_year_range or (money.per_year, money.per_year)
    return money.as_record() | {"per_year_low": low, "per_year_high": high}


def as_json(summary: Summary) -> str:
    """Return one line: a summary's fields, and values computed from them; of samples only the sizes.

    Keys are those of the store; bytes that are not UTF-8 are escaped as lone surrogates.
    """
    fields: dict[str, Any] = {
        "version": VERSION,
        "settings_digest": summary.settings.digest(),
        "objects": summary.objects,
        "bytes_in": summary.bytes_in,
        "bytes_out": summary.bytes_out,
        "saved_bytes": summary.saved_bytes,
        "saved": summary.saved,
        "failed": summary.failed,
        "new_failures": summary.new_failures,
        "succeeded": summary.succeeded,
        "space": None if summary.space is None else asdict(summary.space),
        "money": _money_as_json(summary),
        "format_changes": [
            {name: getattr(total, name) for name in FORMAT_CHANGE} for total in summary.format_changes()
        ],
    }
    for name in Summary.__slots__:
        value = getattr(summary, name)
        if name in ("settings", "projection", "footprint", "prices"):
            fields[name] = None if value is None else asdict(value)
        elif name in ("totals", "problems"):
            fields[name] = [asdict(item) for item in value]
        elif name == "scores":
            fields[name] = None if value is None else _scores_as_json(value)
        elif name == "samples":
            fields[name] = [
                {"key": s.key, "bytes_in": len(s.before), "bytes_out": len(s.after), "score": s.score} for s in value
            ]
        else:
            fields[name] = dict(value) if isinstance(value, Mapping) else value
    return json.dumps(fields)
