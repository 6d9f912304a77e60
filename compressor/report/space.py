"""The space that a run's objects take: what was saved does not become free before the originals are deleted."""

from dataclasses import dataclass

from compressor.humanize import human_bytes


@dataclass(frozen=True, slots=True)
class Space:
    """The bytes that are stored of a run's objects.

    before     before the run
    now        after it: results, objects that stay as they are, and all that is stored of the originals
    after      once originals and versions are deleted
    originals  of `now`: originals that a run in place has kept, or the source of a copy
    versions   of `now`: replaced objects, which stay as versions of a versioned bucket
    copied     the run was a copy
    """

    before: int
    now: int
    after: int
    originals: int = 0
    versions: int = 0
    copied: bool = False

    @property
    def added(self) -> int:
        """How much more is stored now than before; negative if it is less."""
        return self.now - self.before

    @property
    def to_delete(self) -> str:
        """The name of what is stored besides the results: "the kept originals"; "" if nothing is."""
        if self.copied:
            return "the source" if self.originals else ""
        names = {"kept originals": self.originals, "old versions": self.versions}
        return " and ".join(f"the {name}" for name, size in names.items() if size)

    @property
    def once_deleted(self) -> str:
        """The time when the space is free: "once the kept originals are deleted"; "" if it already is."""
        return f"once {self.to_delete} {'is' if self.copied else 'are'} deleted" if self.to_delete else ""

    @property
    def in_words(self) -> str:
        """The difference and its end: "2.39 MB more than before, until the kept originals are deleted"."""
        change = f"{human_bytes(abs(self.added))} {'more' if self.added >= 0 else 'less'} than before"
        return ", until".join((change, self.once_deleted.removeprefix("once"))) if self.to_delete else change
