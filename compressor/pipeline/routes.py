"""What a route is: the way from a source to a result, which knows how to make its bytes, what that takes, and how to
check them. `to_jpeg`, `to_png` and `to_other` have them, by what comes out."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from compressor.settings import Path


class Route(Protocol):
    """A result in the making. `prepare` once, then `head` and `body`; `body` before `head` where both are spooled."""

    format: str
    path: Path
    height: int  # of the image, which its header need not say

    @property
    def notices(self) -> list[str]: ...
    @property
    def needs_verdict(self) -> bool: ...  # whether `head` can only be made after `body`
    def prepare(self) -> None: ...
    def head(self) -> bytes: ...
    def body(self) -> Iterator[bytes | memoryview]: ...
    def verify(self, result: Iterable[bytes]) -> bool: ...
    def close(self) -> None: ...
