"""Notices and metadata names that several containers share, and their limits."""

from compressor.metadata import CREDENTIALS_REMOVED, lost_colors, removed_trailing_bytes

ICC_BYTES_MAX = 16 << 20
EXIF_BYTES_MAX = 1 << 20  # the IFD with the orientation is among the first bytes
NAMES_MAX = 20
CREDENTIALS = "content credentials (C2PA)"


def trailing_bytes(count: int) -> str:
    """Return the name of bytes after the end of an image."""
    return f"{count} byte{'s' if count != 1 else ''} after the image"


def note_trailing_bytes(count: int, notices: list[str]) -> None:
    """Add a notice that bytes after the image were removed, if there were any."""
    notices += removed_trailing_bytes(count)


def note_credentials(notices: list[str]) -> None:
    """Add a notice that content credentials were removed, once."""
    if CREDENTIALS_REMOVED not in notices:
        notices.append(CREDENTIALS_REMOVED)


def note_profile(profile: bytes, notices: list[str]) -> None:
    """Add a notice that a profile was removed, if colors differ without it."""
    notices += lost_colors(profile, None)


def first_names(names: list[str]) -> list[str]:
    """Return the first NAMES_MAX distinct names."""
    return list(dict.fromkeys(names))[:NAMES_MAX]


def four_cc(code: bytes) -> str:
    """Return a four-character code as text, hexadecimal where it is not printable."""
    return code.decode("ascii") if code.isascii() and code.decode("ascii").isprintable() else code.hex()
