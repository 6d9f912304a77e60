"""Filters that select objects of a listing."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from compressor.stores.contract import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Conditions that an object must meet. Ages are in seconds, by the time of the last change.

    include, exclude   glob patterns for the whole key, in which `*` also matches "/"; no `include`: all keys
    excluded_prefixes  prefixes of keys that are not selected
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    excluded_prefixes: tuple[str, ...] = ()
    size_min: int = 0
    size_max: int | None = None
    older_than: float | None = None
    newer_than: float | None = None

    def match_key(self, key: str) -> bool:
        """Return whether a key is selected, whatever the object."""
        if any(key.startswith(prefix) for prefix in self.excluded_prefixes):
            return False
        if self.include and not any(fnmatchcase(key, pattern) for pattern in self.include):
            return False
        return not any(fnmatchcase(key, pattern) for pattern in self.exclude)

    def match(self, entry: Entry, now: float) -> bool:
        """Return whether an object is selected at this Unix time."""
        if not self.match_key(entry.key):
            return False
        if entry.size < self.size_min or (self.size_max is not None and entry.size > self.size_max):
            return False
        age = now - entry.modified
        if self.older_than is not None and not age >= self.older_than:
            return False
        return self.newer_than is None or age <= self.newer_than
