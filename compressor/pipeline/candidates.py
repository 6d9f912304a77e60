"""The choice between complete results and the source.

Candidates are tried from the smallest to the largest, those of equal size in the order in which they were planned. The
first one that meets the terms and passes verification is delivered; if there is none, the source is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.pipeline.routes import Route
from compressor.settings import Path, Settings, Source
from compressor.spool import Readable

# The largest size, relative to the source, of a WebP made from a WebP or an AVIF made from an AVIF: results that were
# compressed again with the same settings shrank by up to 17 % more, each time with a loss.
LOSSY_AGAIN_MAX = 0.75
SAVES_LITTLE = "another lossy encoding would save less than a quarter"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete result, and the route that made it."""

    route: Route
    file: Readable


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions on which a candidate is delivered in place of the source.

    source_bytes   size of the source
    reduced_bytes  return the size of the source without the metadata that the settings remove; called at most once a
                   candidate, and only if nothing else decides, since it takes time
    """

    source: Source
    source_bytes: int
    reduced_bytes: Callable[[], float]
    settings: Settings

    def objection_to(self, candidate: Candidate) -> str:
        """Return why the source is preferred to a candidate, "" if it is not."""
        size = candidate.file.size
        if size >= self.source_bytes:
            return "not smaller"
        if size > self.source_bytes * (1 - self.settings.min_saving):
            return f"{size} bytes would save less than min_saving"
        limit = self.reduced_bytes()
        if size >= limit:
            return "not smaller"
        if self._loses_again(candidate.route) and size > limit * LOSSY_AGAIN_MAX:
            return SAVES_LITTLE
        return ""

    def _loses_again(self, route: Route) -> bool:
        """Return whether pixels are encoded lossily in the source's format, as when a result is compressed again."""
        again = route.format == self.source.format and route.path is Path.PIXELS
        return again and not route.quantized and not self.settings.lossless


def choose(
    candidates: Sequence[Candidate], objection_to: Callable[[Candidate], str], verify: Callable[[Candidate], bool]
) -> tuple[Candidate | None, str]:
    """Return the candidate to deliver and "", or None and a reason if none can be delivered.

    The order is that of this module's docstring; the reason is the one for which the first candidate was rejected.
    """
    reason = ""
    for candidate in sorted(candidates, key=lambda candidate: candidate.file.size):
        found = objection_to(candidate) or ("" if verify(candidate) else candidate.route.defect)
        if not found:
            return candidate, ""
        reason = reason or found
    return None, reason
