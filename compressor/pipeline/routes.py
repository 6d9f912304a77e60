"""Plans and routes: a plan states how much memory a conversion needs, a route carries it out.

`to_jpeg`, `to_png` and `to_other` have a function for each conversion, which returns its plan.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compressor.jpeg import perceptual
from compressor.pipeline.stages import Stages
from compressor.settings import Path, Settings
from compressor.spool import Readable, Spool


class Route(ABC):
    """A conversion in progress. Call `prepare` once, then `head` and `body`; `body` first if the result is spooled.

    format    of the result
    height    of the image, which a JPEG's header need not say (DNL)
    chose_444 whether the result has 4:4:4 because of its pixels, and would not have had it otherwise
    quantized whether the result is a PNG with fewer colors than the source
    score     of the result, if the route has measured it
    encodings results that were made, of which one is delivered; complete after the body
    obstacle  why no result can be made, so that the source is returned; known before the first byte, "" for none
    defect    the reason for returning the source where a result is not exact

    A route that does not override the methods below needs one pass, has no separate head, and is not verified.
    """

    format: str
    path: Path
    height: int
    chose_444 = False
    quantized = False
    score: float | None = None
    encodings = 1
    obstacle = ""
    defect = "the result did not decode to the source's own samples, which is a defect of the encoder"

    @property
    def is_exact(self) -> bool:
        """Return whether the result shows the source's own samples by construction."""
        return self.path is Path.LOSSLESS

    @property
    @abstractmethod
    def notices(self) -> list[str]:
        """Notices about the result, such as what was not carried over; complete after the body."""

    @property
    def source_notices(self) -> list[str]:
        """Notices that apply to the source's own bytes too: defects that were tolerated."""
        return []

    @property
    def head_needs_body(self) -> bool:
        """Return whether `head` can be made only after `body`, so that the result has to be spooled."""
        return False

    def prepare(self) -> None:  # noqa: B027
        """Do what must be done before the first byte, such as a first pass."""

    def head(self) -> bytes:
        """Return the bytes before the body."""
        return b""

    @abstractmethod
    def body(self) -> Iterator[bytes | memoryview]:
        """Yield the rest; each piece is valid until the next one is requested."""

    def verify(self, result: Readable) -> bool:
        """Return whether a result that has to be exact is exact."""
        return True


class Finished(Route):
    """A route that has ended: its part of the report and its verification, without the memory that it took."""

    def __init__(self, route: Route, *, verified: bool) -> None:
        self.format, self.path, self.height = route.format, route.path, route.height
        self.defect, self.chose_444 = route.defect, route.chose_444
        self.quantized, self._is_exact, self.score = route.quantized, route.is_exact, route.score
        self._notices, self._source_notices, self._verified = route.notices, route.source_notices, verified

    @property
    def is_exact(self) -> bool:
        return self._is_exact

    @property
    def notices(self) -> list[str]:
        return self._notices

    @property
    def source_notices(self) -> list[str]:
        return self._source_notices

    def body(self) -> Iterator[bytes | memoryview]:
        raise RuntimeError("the route has ended")

    def verify(self, result: Readable) -> bool:
        return self._verified


@dataclass(frozen=True, slots=True)
class Plan:
    """A conversion that has not begun, and the memory that it needs. An image may have several plans.

    memory_bytes  peak memory above the idle process, from the header alone and without metadata
    start         begin the conversion; to be called once that memory is reserved
    result_bytes  return the peak memory of decoding the result in bands of so many lines; None if it has no loss that
                  a score could measure
    result_has_alpha  whether the result has alpha, so that it is scored over two backgrounds
    """

    memory_bytes: int
    start: Callable[[], Route]
    result_bytes: Callable[[int], int] | None = None
    result_has_alpha: bool = False


@dataclass(frozen=True, slots=True)
class RouteContext:
    """The parts of a request that every route needs.

    spool     make a spool that is closed with the request
    charge    charge a number of bytes of metadata to the request; see `ByteStream.charge`
    searched  the distance that a search tries; None for that of the quality
    memory_max  bytes of memory that an image can reserve at all; None: no limit
    """

    settings: Settings
    stages: Stages
    spool: Callable[[], Spool]
    charge: Callable[[int], None]
    searched: float | None = None
    memory_max: int | None = None

    @property
    def distance(self) -> float:
        """Return the distance of the quantization tables of a lossy JPEG; see `perceptual`."""
        if self.searched is not None:
            return self.searched
        return perceptual.distance_for(self.settings.effective_quality, self.settings.effort)
