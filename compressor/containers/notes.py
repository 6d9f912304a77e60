"""The wording of what several containers say about metadata that they remove or find, and limits they share."""

from compressor import icc

ICC_BYTES_MAX = 16 << 20
EXIF_BYTES_MAX = 1 << 20  # the directory with the orientation is among the first bytes
ICC_HEADER_BYTES = 128
NAMES_MAX = 20
CREDENTIALS = "content credentials (C2PA)"


def behind(count: int) -> str:
    """Name the bytes behind the end of a picture."""
    return f"{count} byte{'s' if count != 1 else ''} behind the image"


def note_behind(count: int, notices: list[str]) -> None:
    """Say that bytes behind the image were removed, if there were any."""
    if count > 0:
        notices.append(f"{behind(count)} {'were' if count != 1 else 'was'} removed")


def note_credentials(notices: list[str]) -> None:
    """Say once that content credentials were removed."""
    text = f"{CREDENTIALS} were removed"
    if text not in notices:
        notices.append(text)


def note_profile(profile: bytes, notices: list[str]) -> None:
    """Say that a profile was removed, if colours look different without it."""
    if not icc.is_srgb(profile):
        notices.append(f"the ICC profile ({icc.name(profile)}) was removed: colours will differ")


def whole_profile(data: bytes) -> bytes:
    """Return a profile without what follows its own end (ICC.1:2022, 7.2.2)."""
    size = int.from_bytes(data[:4], "big")
    return data[:size] if ICC_HEADER_BYTES <= size < len(data) else data


def named(names: list[str]) -> list[str]:
    """Return the first NAMES_MAX different names."""
    return list(dict.fromkeys(names))[:NAMES_MAX]


def four_cc(code: bytes) -> str:
    """Return a four-character code as it is shown to people."""
    return code.decode("ascii") if code.isascii() and code.decode("ascii").isprintable() else code.hex()
