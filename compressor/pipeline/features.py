"""Features of a picture that are known before it is encoded."""

from collections.abc import Iterator

import numpy as np

from compressor.tiles import Band

LINES = 4  # one line in so many is looked at
DRAWING_MIN = 0.3  # at least this share of the pixels of a drawing repeats


class RepeatedShare:
    """The share of pixels that are equal to their left neighbor, in every fourth line.

    Of 75 photographs (Kodak's, cameras', scikit-image's) 73 have less than 0.3, and most less than 0.15. The others
    have a black sky, or are overexposed.
    """

    def __init__(self, width: int, channels: int) -> None:
        self._width, self._channels = width, channels
        self._equal = self._total = self._next = 0

    @property
    def value(self) -> float:
        """Return the share so far, from 0 to 1."""
        return self._equal / self._total if self._total else 0.0

    def add(self, band: Band) -> None:
        """Add the next lines, (n, width * channels) uint8 or the same samples in another shape."""
        lines = band.reshape(len(band), self._width, self._channels)[self._next :: LINES]
        self._next = (self._next - len(band)) % LINES
        same = np.ones((len(lines), self._width - 1), np.bool_)
        for channel in range(self._channels):
            same &= lines[:, 1:, channel] == lines[:, :-1, channel]
        self._equal += int(np.count_nonzero(same))
        self._total += same.size

    def adding(self, bands: Iterator[Band]) -> Iterator[Band]:
        """Yield bands, each added first."""
        for band in bands:
            self.add(band)
            yield band


def is_drawing(share: float) -> bool:
    """Return whether a picture with such a share of repeated pixels may be a drawing or a screenshot."""
    return share >= DRAWING_MIN
