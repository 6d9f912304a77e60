"""Which objects of a listing are meant."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What of a listing is meant. Ages in seconds, by the time of the last change.

    include, exclude   glob patterns of the whole key, `*` matching "/" too; none to include: all
    but                prefixes that are not meant
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    size_min: int = 0
    size_max: int | None = None
    older_than: float | None = None
    newer_than: float | None = None

    def match_key(self, key: str) -> bool:
        """Whether a key is meant, of whatever object."""
        if any(key.startswith(prefix) for prefix in self.but):
            return False
        if self.include and not any(fnmatchcase(key, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(key, pattern) for pattern in self.exclude)

    def match(self, entry: Entry, now: float) -> bool:
        """Whether an object is meant."""
        if not self.match_key(entry.key):
            return False
        if entry.size < self.size_min or (self.size_max is not None and entry.size > self.size_max):
            return False
        age = now - entry.modified
        if self.older_than is not None and not age >= self.older_than:
            return False
        return self.newer_than is None or age <= self.newer_than
