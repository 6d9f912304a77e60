"""What a route is: the way from a source to a result, which knows how to make its bytes, what that takes, and how to
check them. `to_jpeg`, `to_png` and `to_other` have them, by what comes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from compressor.pipeline.stages import Stages
from compressor.settings import Path, Settings
from compressor.spool import Readable, Spool


class Route(ABC):
    """A result in the making. `prepare` once, then `head` and `body`; `body` before `head` where both are spooled.

    height     of the image, which its header need not say
    objection  why no result can be made and the source comes back, known before the first byte; "" for none

    What is not said here: one pass, no head of its own, and nothing to compare the result with.
    """

    format: str
    path: Path
    height: int
    objection = ""

    @property
    @abstractmethod
    def notices(self) -> list[str]:
        """What was not kept, or is worth knowing; complete after the body."""

    @property
    def tolerated(self) -> list[str]:
        """Notices that hold for the source's own bytes as well: what is wrong with it but was accepted."""
        return []

    @property
    def needs_verdict(self) -> bool:
        """Whether `head` can only be made after `body`."""
        return False

    def prepare(self) -> None:  # noqa: B027
        """What must be done before the first byte."""

    def head(self) -> bytes:
        """What comes before the body."""
        return b""

    @abstractmethod
    def body(self) -> Iterator[bytes | memoryview]:
        """The rest; each piece is valid until the next one is asked for."""

    def verify(self, result: Readable) -> bool:
        """Whether the result is what an exact one must be."""
        return True


@dataclass(frozen=True)
class RouteContext:
    """What every route needs.

    spool  makes one that is given back with the request
    hold   charges so many bytes of metadata; see `ByteStream.charge`
    """

    settings: Settings
    stages: Stages
    spool: Callable[[], Spool]
    hold: Callable[[int], None]
