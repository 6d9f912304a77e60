"""The wording of what several containers say about metadata that they remove or find, and limits they share."""

from compressor.metadata import CREDENTIALS_REMOVED, lost_colors, removed_behind

ICC_BYTES_MAX = 16 << 20
EXIF_BYTES_MAX = 1 << 20  # the directory with the orientation is among the first bytes
NAMES_MAX = 20
CREDENTIALS = "content credentials (C2PA)"


def behind(count: int) -> str:
    """Name the bytes behind the end of a picture."""
    return f"{count} byte{'s' if count != 1 else ''} behind the image"


def note_behind(count: int, notices: list[str]) -> None:
    """Say that bytes behind the image were removed, if there were any."""
    notices += removed_behind(count)


def note_credentials(notices: list[str]) -> None:
    """Say once that content credentials were removed."""
    if CREDENTIALS_REMOVED not in notices:
        notices.append(CREDENTIALS_REMOVED)


def note_profile(profile: bytes, notices: list[str]) -> None:
    """Say that a profile was removed, if colours look different without it."""
    notices += lost_colors(profile, None)


def named(names: list[str]) -> list[str]:
    """Return the first NAMES_MAX different names."""
    return list(dict.fromkeys(names))[:NAMES_MAX]


def four_cc(code: bytes) -> str:
    """Return a four-character code as it is shown to people."""
    return code.decode("ascii") if code.isascii() and code.decode("ascii").isprintable() else code.hex()
