"""The space that a run's objects take: what was saved does not become free before the originals are deleted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Space:
    """The bytes that are stored of a run's objects.

    before     before the run
    now        after it: results, objects that stay as they are, and all that is stored of the originals
    after      once originals and versions are deleted
    originals  of `now`: originals that a run in place has kept, or the source of a copy
    versions   of `now`: replaced objects, which stay as versions of a versioned bucket
    """

    before: int
    now: int
    after: int
    originals: int = 0
    versions: int = 0

    @property
    def added(self) -> int:
        """How much more is stored now than before; negative if it is less."""
        return self.now - self.before


def more_or_less(added: int, size: str) -> str:
    """Return "2.39 MB more than before", given the difference and its size in words."""
    return f"{size} {'more' if added > 0 else 'less'} than before" if added else "as much as before"


def until(space: Space, mode: str) -> str:
    """Return when the space is free: "until the kept originals are deleted"; "" if it already is."""
    if mode == "copy":
        return "until the source is deleted" if space.originals else ""
    originals, versions = bool(space.originals), bool(space.versions)
    if originals and versions:
        return "until the kept originals and the old versions are deleted"
    if originals:
        return "until the kept originals are deleted"
    return "until the old versions are deleted, for example by a lifecycle rule" if versions else ""
