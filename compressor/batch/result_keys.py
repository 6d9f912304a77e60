"""Keys of results whose format is not that of their source, and objects whose results might get the same one."""

from collections import deque
from typing import Generic, TypeVar

from compressor.sniff import FORMAT_SUFFIXES

IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMAT_SUFFIXES.values() for suffix in suffixes)
ARCHIVE_SUFFIX = FORMAT_SUFFIXES["jxl"][0]

T = TypeVar("T")


def result_key(key: str, format: str) -> str:
    """Return the key of a result in a format: that of the source with the format's suffix.

    A suffix of an image format is replaced, in upper case if it is; any other key gets the suffix in addition. A key
    that has one of the format's suffixes is returned as it is.
    """
    suffix, suffixes = image_suffix(key), FORMAT_SUFFIXES.get(format, ())
    if not suffixes or suffix.lower() in suffixes:
        return key
    new = suffixes[0]
    if suffix.isupper():
        new = new.upper()
    elif suffix.istitle():
        new = new.title()
    return without_image_suffix(key) + new


def archive_key(key: str, format: str) -> str:
    """Return the key of an archive (format "jxl"), of the JPEG of one ("jpeg"), or of an object that is copied ("").

    An archive gets its suffix in addition, so that unarchiving gives the JPEG its own key again.
    """
    if format == "jxl":
        return key + ARCHIVE_SUFFIX
    if format != "jpeg":
        return key
    bare = key[: -len(ARCHIVE_SUFFIX)] if key.lower().endswith(ARCHIVE_SUFFIX) else key
    return bare if image_suffix(bare).lower() in FORMAT_SUFFIXES["jpeg"] else bare + FORMAT_SUFFIXES["jpeg"][0]


def image_suffix(key: str) -> str:
    """Return the suffix of a key with its dot, "" if it is not that of an image format; that of a name such as `.jpg`
    is the name itself."""
    name = key[key.rfind("/") + 1 :]
    at = name.rfind(".")
    suffix = name[at:] if at > 0 else ""
    return suffix if suffix.lower() in IMAGE_SUFFIXES else ""


def without_image_suffix(key: str) -> str:
    """Return a key without its suffix if that is one of an image format. Results of keys that differ in this never get
    the same key."""
    return key[: len(key) - len(image_suffix(key))]


class Contenders(Generic[T]):
    """Objects whose results might get the same key, such as `a.jpg` and `a.png`: one is processed at a time, in the
    order of the listing. So which of them gets the key does not depend on which is compressed first.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[T]] = {}  # by key without suffix, of which one object is being processed

    def enter(self, key: str, task: T) -> bool:
        """Return whether an object may be processed now; otherwise `leave` returns its task later."""
        stem = without_image_suffix(key)
        if stem in self._waiting:
            self._waiting[stem].append(task)
            return False
        self._waiting[stem] = deque()
        return True

    def leave(self, key: str) -> T | None:
        """Return the next task after that of an object that has been processed, if any waits for it."""
        stem = without_image_suffix(key)
        waiting = self._waiting.get(stem)
        if not waiting:
            self._waiting.pop(stem, None)
            return None
        return waiting.popleft()
