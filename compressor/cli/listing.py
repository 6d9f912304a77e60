"""The images that the arguments of `compressor compress` name: files, and what is found in folders."""

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from compressor.cli.options import UsageError
from compressor.sniff import PREFIX, sniff

HIDDEN, LINK, EARLIER, OTHER, SPECIAL = "hidden", "linked", "from an earlier run", "not an image", "not a file"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image to compress.

    name    as it was given, or found in a folder that was given
    below   its path below that folder; its own name if it was given itself
    format  by its first bytes, as `sniff` names it; "unknown" also for a file that can't be read
    size    in bytes; 0 for a file that can't be read
    """

    name: str
    below: str
    format: str
    size: int


@dataclass
class FoundImages:
    """The images that were found, and what was not.

    files     each once, those of a folder in the order of their names
    failures  folders that can't be read
    skipped   how many of each kind of what was left out
    """

    files: list[ImageFile] = field(default_factory=list)
    failures: list[OSError] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def list_images(
    names: Sequence[str], *, recursive: bool, is_earlier: Callable[[str], bool], left_out: str | None
) -> FoundImages:
    """Return the files that the arguments name, and with `recursive` the images in folders.

    is_earlier  whether a file in a folder, by its name, is a result or an original of an earlier run
    left_out    a folder of results, which is no source

    Hidden files and folders, symbolic links, and files that are no images are left out of folders, but not if they are
    arguments themselves. Raise UsageError for a folder without `recursive`.
    """
    listing, seen = FoundImages(), set[str]()
    for name in names:
        if os.path.isdir(name) and not recursive:
            raise UsageError(
                f"{name} is a folder: -r compresses the images in it; for large ones there is `compressor batch`, "
                "which resumes"
            )
        found = _images_in(name, listing, is_earlier, left_out) if os.path.isdir(name) else iter([image_at(name)])
        for file in found:
            real = os.path.realpath(file.name)
            if real not in seen:
                seen.add(real)
                listing.files.append(file)
    return listing


def image_at(name: str, below: str | None = None) -> ImageFile:
    """Return the file of this name, which may be "-". A pipe is not opened: what is read from it would be lost."""
    format, size = "unknown", 0
    try:
        state = os.stat(name)
        if stat.S_ISREG(state.st_mode):
            size = state.st_size
            with open(name, "rb") as file:
                format = sniff(file.read(PREFIX))
    except OSError:
        pass  # is reported when it is its turn
    return ImageFile(name, os.path.basename(name) if below is None else below, format, size)


def _images_in(
    root: str, listing: FoundImages, is_earlier: Callable[[str], bool], left_out: str | None
) -> Iterator[ImageFile]:
    """Yield the images in a folder and below it; count what is left out."""
    skipped = listing.skipped
    excluded = None if left_out is None else os.path.realpath(left_out)
    for base, folders, names in os.walk(root, onerror=listing.failures.append):
        shown = [name for name in sorted(folders) if not name.startswith(".")]
        links = {name for name in shown if os.path.islink(os.path.join(base, name))}
        skipped[HIDDEN] += len(folders) - len(shown)
        skipped[LINK] += len(links)
        folders[:] = [n for n in shown if n not in links and os.path.realpath(os.path.join(base, n)) != excluded]
        for name in sorted(names):
            path = os.path.join(base, name)
            if name.startswith("."):
                skipped[HIDDEN] += 1
            elif os.path.islink(path):
                skipped[LINK] += 1
            elif not os.path.isfile(path):
                skipped[SPECIAL] += 1
            elif is_earlier(name):
                skipped[EARLIER] += 1
            else:
                file = image_at(path, os.path.relpath(path, root))
                if file.format == "unknown" and os.access(path, os.R_OK):
                    skipped[OTHER] += 1
                else:
                    yield file
