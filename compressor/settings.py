"""What a caller may ask for, and what it is told afterwards: the one truth that Python, CLI and proto map to."""

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

from compressor.errors import SettingsError, UnsupportedError

try:
    VERSION = version("compressor")
except PackageNotFoundError:  # a source tree on the path, not installed
    VERSION = "0+unknown"


class Format(StrEnum):
    """Of the output. KEEP: the source's own, or for raw samples JPEG, and PNG where they have alpha."""

    KEEP = "keep"
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    AVIF = "avif"
    AUTO = "auto"


class Effort(StrEnum):
    """FAST: one pass, output from the first rows on. BALANCED: two passes. BEST: rate-distortion optimised."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"


class Delivery(StrEnum):
    """SAFE: nothing leaves before it is known to be smaller and right. IMMEDIATE: bytes leave as they are made."""

    SAFE = "safe"
    IMMEDIATE = "immediate"


class Subsampling(StrEnum):
    """Of the chroma components. AUTO: the source's own where it has one, else 4:2:0."""

    AUTO = "auto"
    S420 = "420"
    S422 = "422"
    S444 = "444"


class Metadata(StrEnum):
    """KEEP: all. COLOR: what changes how the image looks (ICC profile, orientation). STRIP: the orientation alone."""

    KEEP = "keep"
    COLOR = "color"
    STRIP = "strip"


class ContentCredentials(StrEnum):
    """How a file with content credentials (C2PA) is treated, whose signature a new file would not match.

    DROP: they are removed, with a notice. UNCHANGED: the file comes back as it is.
    """

    DROP = "drop"
    UNCHANGED = "unchanged"


class Outcome(StrEnum):
    """COMPRESSED: smaller. UNCHANGED: the input's own bytes (or its losslessly stripped ones), `reason` says why.
    LARGER: delivered though not smaller, since another format was asked for or delivery was immediate."""

    COMPRESSED = "compressed"
    UNCHANGED = "unchanged"
    LARGER = "larger"


class Path(StrEnum):
    """How the image went through (DESIGN: the picture). NONE: it was not decoded."""

    NONE = "none"
    LOSSLESS = "lossless"
    COEFFICIENTS = "coefficients"
    PIXELS = "pixels"


DENSITY_MAX = (1 << 31) - 1  # of a PNG's pHYs


def _check(name: str, value: object, kind: type, low: float, high: float) -> None:
    numbers = int if kind is int else int | float
    if isinstance(value, bool) or not isinstance(value, numbers) or not low <= value <= high:
        whole = "a whole number " if kind is int else ""
        span = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise SettingsError(name, f"is {value!r}, must be {whole}{span}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to compress. Enums are given as such or as their values ("jpeg").

    quality       1..100   how good it looks: as libjpeg-turbo's 4:2:0 does at that quality
    target_score  0..100   lowest SSIMULACRA2 allowed
    max_bytes     > 0      largest result allowed
    lossless               coefficients (JPEG) or pixels (PNG) stay as they are
    delivery               None: SAFE for files, IMMEDIATE for raw tiles
    min_saving    [0, 1)   share of the input that must be saved, or the input comes back unchanged
    background             (r, g, b) behind transparent pixels where the output has no alpha
    """

    quality: int = 80
    target_score: float | None = None
    max_bytes: int | None = None
    lossless: bool = False
    effort: Effort = Effort.BALANCED
    format: Format = Format.KEEP
    delivery: Delivery | None = None
    subsampling: Subsampling = Subsampling.AUTO
    metadata: Metadata = Metadata.KEEP
    content_credentials: ContentCredentials = ContentCredentials.DROP
    min_saving: float = 0.0
    background: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        for name, kind in ENUMS.items():
            value = getattr(self, name)
            if value is None and name == "delivery":
                continue
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise SettingsError(name, f"is {value!r}, must be one of {', '.join(kind)}") from None
        _check("quality", self.quality, int, 1, 100)
        if self.target_score is not None:
            _check("target_score", self.target_score, float, 0, 100)
        if self.max_bytes is not None:
            _check("max_bytes", self.max_bytes, int, 1, math.inf)
        _check("min_saving", self.min_saving, float, 0, 1)
        if self.min_saving == 1:
            raise SettingsError("min_saving", "is 1, must be below 1: nothing can be saved whole")
        if self.background is not None:
            if not isinstance(self.background, Sequence) or len(self.background) != 3:
                raise SettingsError("background", f"is {self.background!r}, must be red, green and blue")
            object.__setattr__(self, "background", tuple(self.background))
            for sample in self.background:
                _check("background", sample, int, 0, 255)

    def delivery_of(self, *, raw: bool) -> Delivery:
        """Return the delivery that was asked for, or the default of files or raw samples. Lossless files are safe."""
        if self.lossless and not raw:
            return Delivery.SAFE
        return self.delivery or (Delivery.IMMEDIATE if raw else Delivery.SAFE)

    def format_of_raw(self, channels: int) -> Format:
        """Return the format of the result for raw samples."""
        if self.format is not Format.KEEP:
            return self.format
        return Format.JPEG if channels in (1, 3) and not self.lossless else Format.PNG

    def check_loss(self, loss: str, target: str) -> None:
        """Raises UnsupportedError where `lossless` is asked for and the samples lack something of the source's.

        loss    what they lack ("more than 8 bits a sample"), or ""
        target  format of the result
        """
        if self.lossless and loss:
            raise UnsupportedError(f"lossless: {loss} can't be kept on the way to {target}")

    def digest(self) -> str:
        """Twelve hex digits that differ where the settings do."""
        return hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:12]


ENUMS: Mapping[str, type[StrEnum]] = {
    "effort": Effort,
    "format": Format,
    "delivery": Delivery,
    "subsampling": Subsampling,
    "metadata": Metadata,
    "content_credentials": ContentCredentials,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was recognised, known as soon as the header is read.

    format          "jpeg", "png", "raw", "webp", …
    description     for people: "baseline JPEG 4:2:0", "PNG, 8-bit RGB", …
    quality         of a JPEG source: as asked for where it is ours, else libjpeg's, estimated; None for others
    reserved_bytes  what admission charges to the byte budget
    """

    format: str
    description: str
    width: int
    height: int
    channels: int
    quality: int | None = None
    reserved_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate: never one number alone."""

    low: float
    central: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """An ESTIMATE, not measured: what some work used, and, as a scenario, what saved bytes would avoid.

    profile, model      whose numbers, and their version
    used_*              by the work: CPU and memory, and in grams what its servers took to make
    storage_class       of the scenario: where originals were, and are no more
    avoided_*_per_gb_year  by each 10^9 bytes that are not stored there for a year; nothing of it has been counted
    *_co2e_grams        None where no grid is configured
    """

    profile: str
    model: str
    used_energy_joules: Bounds
    used_co2e_grams: Bounds | None = None
    storage_class: str
    avoided_energy_joules_per_gb_year: Bounds
    avoided_co2e_grams_per_gb_year: Bounds | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done.

    reason         why the outcome is what it is, where that needs a word; else ""
    stage_seconds  CPU seconds by stage: decode, encode, verify, container
    score          SSIMULACRA2, when it was measured
    notices        what was not kept, or is worth knowing
    memory_byte_seconds  what was reserved, over the time that it was
    footprint      added by whoever reports to people: the service, the command line; None from the core
    """

    outcome: Outcome
    reason: str = ""
    bytes_in: int
    bytes_out: int
    source_format: str
    format: str
    width: int
    height: int
    path: Path
    score: float | None = None
    notices: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    reserved_bytes: int = 0
    memory_byte_seconds: float = 0.0
    version: str = VERSION
    settings_digest: str = ""
    footprint: Footprint | None = None

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all stages."""
        return sum(self.stage_seconds.values())

    @property
    def saved(self) -> float:
        """Share of the input's bytes that was saved; negative where the result grew."""
        return 1 - self.bytes_out / self.bytes_in if self.bytes_in else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Samples without a file around them: 8 bits each, interleaved, row-major, unpadded.

    channels     1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    tile_*       size of a tile; tiles at the right and bottom edges are cropped

    Metadata go into the result as those of a file do, as far as `Settings.metadata` lets them:
    icc_profile  of the samples: for grey where there are 1 or 2 channels, for RGB where there are 3 or 4
    exif         a TIFF stream ("II" or "MM" first); "Exif\\0\\0" before it is dropped
    xmp          an XMP packet
    comments     texts; "keyword: text" becomes a text chunk with that keyword in a PNG
    density      pixels per metre, horizontally and vertically
    aspect       pixels on one length of unknown unit, horizontally and vertically, where pixels are not square
    """

    width: int
    height: int
    channels: int
    tile_width: int
    tile_height: int
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    comments: tuple[str, ...] = ()
    density: tuple[int, int] | None = None
    aspect: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name in ("icc_profile", "exif", "xmp"):
            if not isinstance(value := getattr(self, name), bytes | None):
                raise SettingsError(f"raw.{name}", f"is of type {type(value).__name__}, must be bytes")
        comments: object = self.comments
        if isinstance(comments, str) or not isinstance(comments, Sequence):
            raise SettingsError("raw.comments", f"is of type {type(comments).__name__}, must be a tuple of texts")
        object.__setattr__(self, "comments", tuple(comments))
        for comment in self.comments:
            if not isinstance(comment, str) or any("\ud800" <= letter <= "\udfff" for letter in comment):
                raise SettingsError("raw.comments", f"has {comment!r:.40}, must be texts that UTF-8 can encode")
        for name in ("density", "aspect"):
            if (pair := getattr(self, name)) is None:
                continue
            if not isinstance(pair, Sequence) or len(pair) != 2:
                raise SettingsError(f"raw.{name}", f"is {pair!r:.40}, must be two numbers")
            object.__setattr__(self, name, tuple(pair))
            for value in pair:
                _check(f"raw.{name}", value, int, 1, DENSITY_MAX)

    def metadata_bytes(self) -> dict[str, int]:
        """Return the size of each kind of metadata that is there."""
        sizes = {name: len(getattr(self, name) or b"") for name in ("icc_profile", "exif", "xmp")}
        sizes["comments"] = sum(len(comment.encode()) for comment in self.comments)
        return {name: size for name, size in sizes.items() if size}


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of samples whose left upper corner is at (x, y). Tiles come in raster order."""

    x: int
    y: int
    pixels: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """The bytes of a result, and what was done to get them."""

    data: bytes
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Files that a client needs in order to connect to a service. They are paths: this can be logged and sent around.

    tls_ca      certificates of the authorities that the server's certificate is checked against; None: no TLS
    tls_cert    certificate chain that the client shows
    tls_key     its private key
    token_file  its first line is sent as bearer token
    """

    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None
