"""The file of a result: a new one, one that replaces its source, or none."""

import dataclasses
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from compressor.atomic_write import AtomicFile, temporary_name
from compressor.cli import output
from compressor.cli.targets import original_path
from compressor.errors import CompressorError
from compressor.humanize import human_format
from compressor.settings import Outcome, Report


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """A result, and what became of it.

    report  with the bytes of the file that is there now
    path    of that file, which for a dry run may not be there; None: that of the source
    remark  for people: "replaced", "dry run"; "" for a new file, and for a source that stays as it is
    """

    report: Report
    path: Path | None
    remark: str = ""

    def name(self, source: str) -> str:
        """Return the name of that file, for people."""
        return source if self.path is None else output.shown_path(self.path)


class ResultFile(Protocol):
    """The place of one result."""

    @property
    def folder(self) -> Path | None:
        """The folder that the result is written to under a temporary name; None: it is not written."""
        ...

    def check(self) -> None:
        """Raise an error if it is known before the work that the result can't be written."""
        ...

    def finish(self, report: Report, temporary: AtomicFile | None, source: os.stat_result | None) -> Written:
        """Give a complete result its name, or not. `source`: the state of the input when it was opened."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class NewFile:
    """A new file.

    source  the name of the input
    target  return the path of the result, from its report, or from None while there is none
    force   overwrite an existing file
    """

    source: str
    target: Callable[[Report | None], Path]
    force: bool
    preserve_times: bool = False

    @property
    def folder(self) -> Path:
        return self.target(None).parent

    def check(self) -> None:
        output.check_target(self.source, self.target(None), self.force)

    def finish(self, report: Report, temporary: AtomicFile | None, source: os.stat_result | None) -> Written:
        assert temporary is not None
        path = self.target(report)
        output.check_target(self.source, path, self.force)
        if self.preserve_times and source is not None and stat.S_ISREG(source.st_mode):
            os.utime(temporary.path, ns=(source.st_atime_ns, source.st_mtime_ns))
        temporary.publish(path)
        return Written(report, path)


@dataclasses.dataclass(frozen=True, slots=True)
class Replacement:
    """A file that replaces its source, if it is smaller and has the same format. It gets the source's mode, owner and
    extended attributes.

    source         the name of the input; of a link, its target is replaced
    keep_original  the source stays, as `original_path`
    """

    source: str
    keep_original: bool
    preserve_times: bool

    @property
    def path(self) -> Path:
        """Return the path of the source without links."""
        return Path(os.path.realpath(self.source))

    @property
    def folder(self) -> Path:
        return self.path.parent

    def check(self) -> None:
        if not stat.S_ISREG(os.stat(self.source).st_mode):
            raise CompressorError("is no regular file, and can't be replaced")

    def finish(self, report: Report, temporary: AtomicFile | None, source: os.stat_result | None) -> Written:
        assert temporary is not None and source is not None
        written = self.outcome(report)
        if written.report is not report:
            return written
        if _identity(os.stat(self.path)) != _identity(source):
            raise CompressorError("was changed while it was compressed, and is left as it is now; run it again")
        from compressor.stores.file_read import file_attributes
        from compressor.stores.file_write import apply_attributes

        with open(self.path, "rb") as old, open(temporary.path, "rb") as new:
            apply_attributes(new.fileno(), file_attributes(old.fileno(), source))
        if not self.preserve_times:
            os.utime(temporary.path)
        if self.keep_original:
            keep(self.path, original_path(self.path))
        temporary.publish(self.path)
        return written

    def outcome(self, report: Report) -> Written:
        """Return what becomes of the source: if its report is another one, the source stays as it is."""
        if reason := self._objection_to(report):
            kept = dataclasses.replace(
                report, outcome=Outcome.UNCHANGED, reason=reason, bytes_out=report.bytes_in, format=report.source_format
            )
            return Written(kept, None)
        original = f", original kept as {original_path(self.path).name}" if self.keep_original else ""
        return Written(report, None, f"replaced{original}")

    def _objection_to(self, report: Report) -> str:
        """Return why the source is left as it is; "" if it is replaced."""
        if report.format != report.source_format:
            return f"it would become {human_format(report.format)}, and in place the format stays"
        if report.bytes_out >= report.bytes_in:
            return report.reason or "the result would not be smaller"
        return ""


def _identity(state: os.stat_result) -> tuple[int, ...]:
    """Return what differs if a file was written or replaced."""
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def keep(path: Path, kept: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links. A name that it has already, from
    a run that was killed, is right. Raise CompressorError if another file has it."""
    if kept.exists():
        if path.samefile(kept):
            return
        raise CompressorError(f"{kept.name} exists, and is never overwritten; move it, or leave out --keep-original")
    try:
        os.link(path, kept)
    except OSError:
        import shutil

        with AtomicFile(temporary_name(kept.parent)) as copy, open(path, "rb") as original:
            writer = copy.open()
            shutil.copyfileobj(original, writer)
            writer.flush()
            shutil.copystat(path, copy.path)
            copy.publish(kept)


@dataclasses.dataclass(frozen=True, slots=True)
class Unwritten:
    """No file: a dry run. `wanted` says what would be written."""

    wanted: "NewFile | Replacement"

    @property
    def folder(self) -> None:
        return None

    def check(self) -> None:
        self.wanted.check()

    def finish(self, report: Report, temporary: AtomicFile | None, source: os.stat_result | None) -> Written:
        if isinstance(self.wanted, Replacement):
            return dataclasses.replace(self.wanted.outcome(report), remark="dry run")
        return Written(report, self.wanted.target(report), "dry run")
