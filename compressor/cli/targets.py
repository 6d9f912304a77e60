"""The paths of the results of `compressor compress`, and what is checked before any of them is written."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compressor.cli import output
from compressor.cli.listing import ImageFile
from compressor.cli.options import UsageError
from compressor.cli.output import STANDARD
from compressor.humanize import human_format
from compressor.settings import ACCEPTABLE, Format, Settings
from compressor.sniff import FORMAT_SUFFIXES, format_named

SUFFIX = ".compressed"
ORIGINAL = ".orig"
WRITABLE = ", ".join(output.SUFFIXES[format][0] for format in ACCEPTABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The places of results.

    out            path of the only result; None if it is named by its source
    folder         of the results; None: each next to its source
    suffix         what a name gets before its suffix
    in_place       results replace their sources
    keep_original  sources that are replaced are kept as NAME.orig.SUFFIX
    force          existing files are overwritten
    """

    out: str | None = None
    folder: str | None = None
    suffix: str = ""
    in_place: bool = False
    keep_original: bool = False
    force: bool = False

    def target(self, file: ImageFile, format: str) -> Path:
        """Return the path of the result of a file. `format`: of the result; "keep" and "auto" while it is not known."""
        if self.in_place:
            return Path(os.path.realpath(file.name))
        if self.out is not None:
            return Path(os.path.realpath(self.out))  # the target of a link is replaced, not the link
        name = Path(output.with_suffix_of(os.path.basename(file.below), format))
        folder = Path(file.name).parent if self.folder is None else Path(self.folder, os.path.dirname(file.below))
        return folder / f"{name.stem}{self.suffix}{name.suffix}"

    def targets(self, file: ImageFile, settings: Settings) -> set[Path]:
        """Return the paths of which one will be that of the result."""
        if settings.archive:
            formats = {"jxl", file.format} if file.format == "jpeg" else {file.format}
        elif settings.format is Format.AUTO:
            formats = {*(settings.accept or ACCEPTABLE), file.format}
        elif settings.format is not Format.KEEP:
            formats = {settings.format}
        else:
            formats = {"jpeg", "png"} if file.format == "bmp" else {file.format}
        return {self.target(file, format) for format in formats}

    def is_earlier(self, name: str) -> bool:
        """Return whether a file in a folder of sources looks like what an earlier run has written there."""
        stem = Path(name).stem
        if self.in_place:
            return stem.endswith(ORIGINAL)
        return self.folder is None and bool(self.suffix) and stem.endswith(self.suffix)


def original_path(path: Path) -> Path:
    """Return the path that the original of a replaced file is kept at."""
    return path.with_name(f"{path.stem}{ORIGINAL}{path.suffix}")


def destination_of(
    sources: Sequence[str],
    *,
    out: str | None,
    output_dir: str | None,
    suffix: str | None,
    in_place: bool,
    keep_original: bool,
    force: bool,
) -> Destination:
    """Return what the options mean together. Raise UsageError if they contradict each other."""
    given = {"-o": out, "--output-dir": output_dir, "--in-place": in_place or None}
    places = [name for name, value in given.items() if value is not None]
    if len(places) > 1:
        raise UsageError(f"{places[0]} and {places[1]} contradict each other: results go to one place")
    if keep_original and not in_place:
        raise UsageError("--keep-original needs --in-place: otherwise, no input is changed")
    if suffix is not None and (in_place or (out is not None and not is_folder(out))):
        raise UsageError(f"--suffix and {places[0]} contradict each other: the name is given")
    if suffix is not None and os.path.basename(suffix) != suffix:
        raise UsageError(f"--suffix is {suffix!r}, must be part of a name, such as .min")
    if STANDARD in sources:
        if len(sources) > 1:
            raise UsageError("standard input is one image; compress files in another command")
        if in_place or output_dir is not None or suffix is not None or (out is not None and is_folder(out)):
            raise UsageError("an image from standard input has no name; give -o FILE, or nothing for standard output")
        out = STANDARD if out is None else out
    if out is not None and is_folder(out):
        out, output_dir = None, out
    if output_dir is not None and os.path.exists(output_dir) and not os.path.isdir(output_dir):
        raise UsageError(f"{output_dir} is a file; --output-dir takes a folder")
    if suffix is None:
        suffix = SUFFIX if output_dir is None else ""
    return Destination(
        out=out, folder=output_dir, suffix=suffix, in_place=in_place, keep_original=keep_original, force=force
    )


def is_folder(path: str) -> bool:
    """Return whether a path is that of a folder, existing or written as one."""
    return path.endswith("/") or os.path.isdir(path)


def format_for(out: str | None, settings: Settings, source_format: str) -> Format:
    """Return the format of the result of -o OUT: by the suffix of OUT, unless the settings name one.

    source_format  of the input; "unknown" for a pipe

    Raise UsageError if they contradict each other, or if that format can't be written.
    """
    named = "" if out is None or output.is_stream(out) else format_named(Path(out).suffix)
    if named not in FORMAT_SUFFIXES or settings.archive or settings.format is Format.AUTO:
        return settings.format
    if settings.format not in (Format.KEEP, named):
        raise UsageError(f"{out} and --format {settings.format} contradict each other: leave out one of them")
    if named in (source_format, settings.format):
        return settings.format
    if named not in ACCEPTABLE:
        raise UsageError(f"{human_format(named)} can't be written; give OUT one of the suffixes {WRITABLE}")
    return Format(named)


def check_targets(files: Sequence[ImageFile], destination: Destination, settings: Settings) -> None:
    """Raise UsageError for results that would overwrite each other, an input, or, without `force`, another file.

    A name that depends on the format of the result is checked again when that is known.
    """
    if destination.in_place:
        return
    if destination.out is not None and len(files) > 1:
        raise UsageError(f"{len(files)} images can't go to {destination.out}, which is one file; give --output-dir DIR")
    if output.is_stream(destination.out):
        return
    sources = {os.path.realpath(file.name): file for file in files}
    taken: dict[str, ImageFile] = {}
    for file in files:
        paths = destination.targets(file, settings)
        for path in paths:
            real = os.path.realpath(path)
            other = taken.setdefault(real, file)
            if other is not file:
                raise UsageError(
                    f"{other.name} and {file.name} {'would' if len(paths) == 1 else 'might'} both become {path}; "
                    "compress them in two commands, with another --suffix or --output-dir"
                )
            source = sources.get(real)
            if source is not None and source is not file:
                raise UsageError(f"{path}, the result of {file.name}, is an input, too; give another --suffix")
        if len(paths) == 1:
            output.check_target(file.name, paths.pop(), destination.force)
