"""Locations that a command names: a folder's path, file:///FOLDER, or SCHEME://BUCKET/PREFIX."""

import os
from pathlib import Path
from urllib.parse import unquote

from compressor.errors import SettingsError
from compressor.humanize import printable


def folder_path(place: str) -> str | None:
    """Return the path of a folder; None for a bucket."""
    scheme, _, rest = place.partition("://")
    if not rest:
        return place
    return unquote(rest) if scheme == "file" else None


def normalize(place: str) -> str:
    """Return the canonical form of a location, with symbolic links followed."""
    folder = folder_path(place)
    if folder is not None:
        return os.path.realpath(folder)
    bucket, prefix = split_url(place)
    return f"{bucket}/{prefix}".rstrip("/")


def split_url(url: str) -> tuple[str, str]:
    """Return a bucket's URL as SCHEME://BUCKET and the prefix, which ends in "/" or is ""."""
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    return f"{scheme}://{bucket}", f"{prefix}/" if prefix else ""


def relative_prefix(place: str, other: str) -> str | None:
    """Return the prefix of a location relative to another: "" if they are equal, None if it is not inside it."""
    inner, outer = (normalize(one).rstrip("/") + "/" for one in (place, other))
    return inner[len(outer) :] if inner.startswith(outer) else None


def prefix_of(url: str) -> str:
    """Return the prefix that a store's keys have in its bucket, and so in manifests."""
    scheme, _, rest = url.partition("://")
    prefix = rest.partition("/")[2] if rest and scheme != "file" else ""
    return prefix if not prefix or prefix.endswith("/") else prefix + "/"


def keep_place(keep: str, source: str) -> str:
    """Return the full location for originals, from --keep-originals and SRC.

    It has the form of SRC. For a folder it is any path, relative to the working directory; for a bucket, a URL in the
    same bucket, or a prefix of the bucket (not of SRC).
    """
    field = "keep_originals"
    folder = folder_path(source)
    if folder is not None:
        place = folder_path(keep)
        if place is None:
            raise SettingsError(field, f"{printable(keep)} must be a folder, as {printable(source)} is")
        if not place.strip():
            raise SettingsError(field, "must be a folder such as originals")
        found = os.path.abspath(place)
    else:
        bucket = split_url(source)[0]
        found = keep if "://" in keep else f"{bucket}/{keep}"
        given, prefix = split_url(found)
        if given != bucket:
            raise SettingsError(field, f"{printable(keep)} must be in the bucket of SRC: {printable(bucket)}/PREFIX")
        if not prefix:
            raise SettingsError(field, f"must be a prefix such as originals/ or {printable(bucket)}/originals/")
        if any(part in ("", ".", "..") for part in prefix[:-1].split("/")):
            raise SettingsError(field, f"{printable(keep)}: a prefix must not have an empty part, . or ..")
        if "://" not in keep and prefix.startswith(bucket.partition("://")[2] + "/"):
            whole = f"{printable(bucket)}/{printable(prefix)}"
            raise SettingsError(
                field, f"{printable(keep)} begins with the bucket's name: write {whole} if that is meant"
            )
        found = f"{bucket}/{prefix}"
    if relative_prefix(source, found) is not None:
        raise SettingsError(
            field, f"{printable(found)} contains SRC: originals would be kept among the objects to replace"
        )
    return found


def check_folder(field: str, place: str) -> None:
    """Raise SettingsError if a location in the file system is not a folder and can't become one."""
    folder = folder_path(place)
    if folder is None:
        return
    path = Path(folder).absolute()
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        raise SettingsError(field, f"{printable(place if there == path else str(there))} is not a folder")
