"""The choice between complete results and the source.

Candidates are tried from the smallest to the largest, those of equal size in the order in which they were planned. The
first that meets the terms and verifies is delivered; if there is none, the source is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.pipeline.routes import Route
from compressor.settings import Path, Settings, Source
from compressor.spool import Readable

DEFECT = "the result did not decode to the source's own samples, which is a defect of the encoder"
# The largest share of the source that WebP made from WebP, or AVIF from AVIF, may have: a result that is compressed
# again with the same settings was seen to shrink by up to 17 % more, each time with a loss.
LOSSY_AGAIN_MAX = 0.75


@dataclass(frozen=True, slots=True)
class Candidate:
    """A complete result, and the route that made it."""

    route: Route
    file: Readable


@dataclass(frozen=True, slots=True)
class Terms:
    """What a candidate has to meet to be delivered in place of the source.

    source_bytes   size of the source
    reduced_bytes  return the size of the source without the metadata that the settings remove; asked for at most once a
                   candidate, since it takes time
    """

    source: Source
    source_bytes: int
    reduced_bytes: Callable[[], float]
    settings: Settings

    def objection_to(self, candidate: Candidate) -> str:
        """Return why the source is to be preferred, "" if it is not."""
        size = candidate.file.size
        if size >= self.source_bytes:
            return "not smaller"
        if size > self.source_bytes * (1 - self.settings.min_saving):
            return f"{size} bytes would not have saved the asked share"
        limit = self.reduced_bytes()
        if size >= limit:
            return "not smaller"
        if self._loses_again(candidate.route) and size > limit * LOSSY_AGAIN_MAX:
            return "encoded again it would lose quality and not save a quarter"
        return ""

    def _loses_again(self, route: Route) -> bool:
        """Return whether pixels of a lossy format are encoded in the same format, as a result of our own would be."""
        return route.format == self.source.format and route.path is Path.PIXELS and not self.settings.lossless


def choose(
    candidates: Sequence[Candidate], objection_to: Callable[[Candidate], str], verify: Callable[[Candidate], bool]
) -> tuple[Candidate | None, str]:
    """Return the candidate to deliver, and "".

    If there is none, return None and why the first of them, in the order of this module's docstring, was rejected.
    """
    reason = ""
    for candidate in sorted(candidates, key=lambda candidate: candidate.file.size):
        found = objection_to(candidate) or ("" if verify(candidate) else DEFECT)
        if not found:
            return candidate, ""
        reason = reason or found
    return None, reason
