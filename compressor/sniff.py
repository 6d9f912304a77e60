"""Detection of a file's format from its first bytes, and the suffixes of its name."""

PREFIX = 64  # bytes that suffice

# Suffixes of file names by format, in lower case, the usual one first.
FORMAT_SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "avif": (".avif",),
    "gif": (".gif",),
    "bmp": (".bmp", ".dib"),
    "tiff": (".tif", ".tiff"),
    "heif": (".heic", ".heif", ".hif"),
    "jp2": (".jp2", ".j2k", ".j2c", ".jpx"),
    "jxl": (".jxl",),
    "pnm": (".pnm", ".pbm", ".pgm", ".ppm"),
}

# Media types by format, as registered, but for that of PNM.
MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "tiff": "image/tiff",
    "heif": "image/heif",
    "jp2": "image/jp2",
    "jxl": "image/jxl",
    "pnm": "image/x-portable-anymap",
}


def format_named(text: str) -> str:
    """Return the format that a person names, by its name or a suffix: jpeg for "JPG" and ".jpg"; other words in lower
    case."""
    word = text.strip().lower()
    suffix = f".{word.removeprefix('.')}"
    return next((format for format, suffixes in FORMAT_SUFFIXES.items() if suffix in suffixes), word)


JPEG = b"\xff\xd8\xff"
PNG = b"\x89PNG\r\n\x1a\n"
JXL_CODESTREAM = b"\xff\x0a"
BOX_FORMATS = {b"JXL \r\n\x87\n": "jxl", b"jP  \r\n\x87\n": "jp2"}
J2K_CODESTREAM = b"\xff\x4f\xff\x51"

# Brands of the file type box (ISO/IEC 14496-12) for HEIF images, including AVIF.
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}


def sniff(prefix: bytes) -> str:
    """Return jpeg, png, webp, gif, bmp, tiff, avif, heif, jp2, jxl or pnm, or "unknown" for anything else.

    prefix  the first PREFIX bytes, or the whole file where it is shorter
    """
    if prefix.startswith(JPEG):
        return "jpeg"
    if prefix.startswith(PNG):
        return "png"
    if prefix[:4] == b"RIFF" and prefix[8:12] == b"WEBP":
        return "webp"
    if prefix[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if prefix[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):  # the latter two: BigTIFF
        return "tiff"
    if prefix[4:8] == b"ftyp":
        return _brand(prefix)
    if prefix.startswith(JXL_CODESTREAM):
        return "jxl"
    if prefix.startswith(J2K_CODESTREAM):
        return "jp2"
    if prefix[:4] == b"\0\0\0\x0c" and prefix[4:12] in BOX_FORMATS:
        return BOX_FORMATS[prefix[4:12]]
    # Two bytes are a weak signature: what follows them must match as well.
    if prefix[:2] == b"BM" and len(prefix) >= 18 and prefix[14:18] in BMP_HEADERS:
        return "bmp"
    if len(prefix) >= 3 and prefix[:1] == b"P" and prefix[1:2] in b"123456" and prefix[2:3] in b" \t\r\n#":
        return "pnm"
    return "unknown"


# Sizes of the BITMAPCOREHEADER (OS/2) and BITMAPINFOHEADER family.
BMP_HEADERS = {size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124)}


def _brand(prefix: bytes) -> str:
    """Return avif or heif from the brands of a file type box, in which the major brand can be a general one."""
    end = min(int.from_bytes(prefix[:4], "big"), len(prefix))
    brands = [prefix[8:12], *(prefix[at : at + 4] for at in range(16, end - 3, 4))]
    if AVIF_BRANDS.intersection(brands):
        return "avif"
    return "heif" if HEIF_BRANDS.intersection(brands) else "unknown"
