"""The interface of a container: an image file whose metadata can be removed without decoding its samples."""

from abc import ABC, abstractmethod
from collections.abc import Iterator

from compressor.settings import Metadata
from compressor.spool import Readable


class Container(ABC):
    """An image file in one format. source: the whole file."""

    def __init__(self, source: Readable) -> None:
        self._source = source

    @abstractmethod
    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield the file reduced to what `policy` (COLOR or STRIP) keeps. Samples and orientation do not change.

        notices  receives what was removed that changes how the image is displayed, and what followed the image;
                 complete after the last chunk

        Raises UnsupportedError where something can't be removed from the container, FormatError where it is broken and
        LimitError where it is too large to be examined, all of them before the first chunk.
        """

    @abstractmethod
    def unmapped_metadata(self) -> list[str]:
        """Return names of the metadata that `metadata.Attachments` has no field for: a conversion loses them."""
