"""The mix of calls that measurements under load make: files of several sizes, by weights, and their results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import google_crc32c

from benchmarks.harness import sources
from benchmarks.service import http2
from benchmarks.service.rpcs import Rpc


@dataclass(frozen=True)
class Share:
    """A size in the mix: its share of the calls, and how many different files it has."""

    size: sources.Size
    weight: float
    files: int


# Thumbnails are most of the calls, and images of 12 megapixels most of the work.
MIX = (
    Share(sources.SIZES["64px"], 0.4, 8),
    Share(sources.SIZES["0.4"], 0.3, 6),
    Share(sources.SIZES["2"], 0.2, 4),
    Share(sources.SIZES["12"], 0.1, 2),
)


@dataclass(frozen=True)
class MixedFile:
    """A file of the mix.

    size_index  index of its size in the mix
    body        messages of a request, with their prefixes
    length      of the result, in bytes
    crc32c      of the result
    """

    size_index: int
    body: bytes
    length: int
    crc32c: int

    def is_result(self, result: bytes) -> bool:
        """Return whether these are the bytes of the result."""
        return len(result) == self.length and google_crc32c.value(result) == self.crc32c


def mixed_files(
    rpc: Rpc, recode: Callable[[bytes], bytes], settings: dict[str, Any], mix: Sequence[Share] = MIX
) -> list[MixedFile]:
    """Make the files of a mix, and their results with the codec in process.

    Raises RuntimeError for a result that is not smaller than its file: the measurement would be of copies.
    """
    found = []
    for index, share in enumerate(mix):
        for data in sources.files(share.size, share.files):
            result = recode(data)
            if len(result) >= len(data):
                raise RuntimeError(f"a result of {share.size} is not smaller than its source")
            body = b"".join(map(http2.prefixed, rpc.messages(data, settings)))
            found.append(MixedFile(index, body, len(result), google_crc32c.value(result)))
    return found
