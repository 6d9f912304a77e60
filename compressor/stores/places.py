"""Places that a command names: a folder's path, file:///FOLDER, or SCHEME://BUCKET/PREFIX."""

import os
from pathlib import Path
from urllib.parse import unquote

from compressor.errors import SettingsError
from compressor.humanize import printable


def folder_of(place: str) -> str | None:
    """Return the path of a folder; None for a bucket."""
    scheme, _, rest = place.partition("://")
    if not rest:
        return place
    return unquote(rest) if scheme == "file" else None


def normal(place: str) -> str:
    """Return a place in its normal form, with links of folders followed: the same place always has the same."""
    folder = folder_of(place)
    if folder is not None:
        return os.path.realpath(folder)
    bucket, prefix = split(place)
    return f"{bucket}/{prefix}".rstrip("/")


def split(url: str) -> tuple[str, str]:
    """Return SCHEME://BUCKET of a bucket's URL, and the prefix, which ends in "/" or is ""."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    return f"{scheme}://{bucket}", f"{prefix}/" if prefix else ""


def relative_prefix(place: str, other: str) -> str | None:
    """Return the prefix that a place has below another, "" where they are the same, None where it is not below it."""
    inner, outer = (normal(one).rstrip("/") + "/" for one in (place, other))
    return inner[len(outer) :] if inner.startswith(outer) else None


def prefix_of(url: str) -> str:
    """Return the prefix that keys of a store have in its bucket: in manifests, not in its own listing."""
    scheme, _, rest = url.partition("://")
    prefix = rest.partition("/")[2] if rest and scheme != "file" else ""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


def keep_place(keep: str, source: str) -> str:
    """Return the place where originals are kept, in full, from --keep-originals and SRC.

    It is written as SRC is: of a folder any path, relative to the working directory, of a bucket a URL in the same
    bucket. Without SCHEME://BUCKET it is a prefix of the bucket, not of SRC.
    """
    field = "keep_originals"
    folder = folder_of(source)
    if folder is not None:
        place = folder_of(keep)
        if place is None:
            raise SettingsError(field, f"{printable(keep)} must be a folder, as {printable(source)} is")
        if not place.strip():
            raise SettingsError(field, "must be a folder such as originals")
        found = os.path.abspath(place)
    else:
        bucket = split(source)[0]
        found = keep if "://" in keep else f"{bucket}/{keep}"
        given, prefix = split(found)
        if given != bucket:
            raise SettingsError(field, f"{printable(keep)} must be in the bucket of SRC: {printable(bucket)}/PREFIX")
        if not prefix:
            raise SettingsError(field, f"must be a prefix such as originals/ or {printable(bucket)}/originals/")
        if any(part in ("", ".", "..") for part in prefix[:-1].split("/")):
            raise SettingsError(field, f"{printable(keep)}: a prefix has no empty part, and none that is . or ..")
        if "://" not in keep and prefix.startswith(bucket.partition("://")[2] + "/"):
            whole = f"{printable(bucket)}/{printable(prefix)}"
            raise SettingsError(field, f"{printable(keep)} begins with the bucket's name: if {whole} is meant, say so")
        found = f"{bucket}/{prefix}"
    if relative_prefix(source, found) is not None:
        raise SettingsError(field, f"{printable(found)} contains SRC: originals would be kept among what is replaced")
    return found


def require_folder(field: str, place: str) -> None:
    """Raise SettingsError where a place in the file system is no folder, and none could be made there."""
    folder = folder_of(place)
    if folder is None:
        return
    path = Path(folder).absolute()
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise SettingsError(field, f"{printable(place if there == path else str(there))} is no folder")
