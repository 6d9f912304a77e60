"""Settings, reports and raw samples: the types that the Python API, the command line and the proto share."""

import dataclasses
import hashlib
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from compressor.accept import FORMATS, accepted_formats
from compressor.choices import ContentCredentials as ContentCredentials
from compressor.choices import Delivery as Delivery
from compressor.choices import Effort as Effort
from compressor.choices import Format as Format
from compressor.choices import Metadata as Metadata
from compressor.choices import SettingsFields
from compressor.choices import Subsampling as Subsampling
from compressor.errors import SettingsError, UnsupportedError

T = TypeVar("T")

VERSION = "0.1.0"  # pyproject.toml reads it from here: importlib.metadata takes 20 ms to import


class Outcome(StrEnum):
    """COMPRESSED: smaller. UNCHANGED: the input's own bytes (or losslessly stripped ones), for the report's `reason`.
    LARGER: not smaller, but delivered because another format was requested or delivery was immediate."""

    COMPRESSED = "compressed"
    UNCHANGED = "unchanged"
    LARGER = "larger"


class Path(StrEnum):
    """How the image was processed. NONE: it was not decoded."""

    NONE = "none"
    LOSSLESS = "lossless"
    COEFFICIENTS = "coefficients"
    PIXELS = "pixels"


ACCEPTABLE = tuple(map(Format, FORMATS))  # what `auto` may choose
DEFAULT_QUALITY = 80
PALETTE_SCORE_MIN = 50.0  # SSIMULACRA2 of medium quality: below it, a picture is left lossless
DENSITY_MAX = (1 << 31) - 1  # of a PNG's pHYs


def _check(name: str, value: object, kind: type, low: float, high: float) -> None:
    numbers = int if kind is int else int | float
    if isinstance(value, bool) or not isinstance(value, numbers) or not low <= value <= high:
        whole = "a whole number " if kind is int else ""
        span = f"at least {low}" if high == math.inf else f"from {low} to {high}"
        raise SettingsError(name, f"is {value!r}, must be {whole}{span}")


def _check_names(settings: type[T]) -> type[T]:
    """Have a dataclass of settings raise SettingsError, with the nearest name, for a keyword that is no field."""
    kind: Any = settings
    init, names = kind.__init__, kind.__dataclass_fields__.keys()

    @wraps(init)
    def checked(self: T, **fields: Any) -> None:
        if unknown := fields.keys() - names:
            raise SettingsError(name := min(unknown), f"is no setting; {_nearest(name, names)}")
        init(self, **fields)

    kind.__init__ = checked
    return settings


def _nearest(name: str, names: Iterable[str]) -> str:
    """Return a question with the name that is most similar to `name`, or all names."""
    from difflib import get_close_matches

    nearest = get_close_matches(name.lower(), names, 1)
    return f"did you mean {nearest[0]}?" if nearest else f"there are {', '.join(names)}"


@_check_names
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to compress. Choices may be given by value ("jpeg").

    quality       1..100   visual quality: that of libjpeg-turbo's 4:2:0 at the same setting; None: DEFAULT_QUALITY
                           unless there is a target score
    target_score  0..100   minimum SSIMULACRA2 score: the smallest result that has it; excludes quality and lossless
    max_bytes     > 0      maximum size of the result: the best score within it; with quality or target_score a ceiling
    score                  measure the SSIMULACRA2 of the result against the source, and report it
    png_colors    2..256   reduce a PNG that has more colors to at most so many, unless its score would be less than
                           target_score, or PALETTE_SCORE_MIN without one; excludes lossless
    lossless               keep coefficients (JPEG) or pixels (PNG) exactly
    delivery               None: SAFE for files, IMMEDIATE for raw tiles
    min_saving    [0, 1)   share of the input that must be saved; otherwise the input is returned unchanged
    background             (r, g, b) of transparent pixels if the output has no alpha
    archive                JPEG to JPEG XL from which `unarchive` makes the same file again, byte for byte; excludes
                           settings that would change the JPEG. Other formats are returned unchanged
    """

    quality: int | None = None
    target_score: float | None = None
    max_bytes: int | None = None
    score: bool = False
    lossless: bool = False
    effort: Effort = Effort.BALANCED
    format: Format = Format.KEEP
    delivery: Delivery | None = None
    subsampling: Subsampling = Subsampling.AUTO
    metadata: Metadata = Metadata.KEEP
    content_credentials: ContentCredentials = ContentCredentials.DROP
    min_saving: float = 0.0
    background: tuple[int, int, int] | None = None
    accept: tuple[Format, ...] | None = None
    archive: bool = False
    png_colors: int | None = None

    if TYPE_CHECKING:  # at run time, the dataclass has one with the defaults in its signature

        def __init__(self, **fields: Unpack[SettingsFields]) -> None: ...

    def __post_init__(self) -> None:
        for name, kind in ENUMS.items():
            value = getattr(self, name)
            if type(value) is kind or (value is None and name == "delivery"):
                continue
            try:
                object.__setattr__(self, name, kind(value))
            except ValueError:
                raise SettingsError(name, f"is {value!r}, must be one of {', '.join(kind)}") from None
        if self.quality is not None:
            _check("quality", self.quality, int, 1, 100)
        if self.target_score is not None:
            _check("target_score", self.target_score, float, 0, 100)
            if self.quality is not None:
                raise SettingsError("target_score", "contradicts quality: give one of them")
            if self.lossless:
                raise SettingsError("target_score", "contradicts lossless: give one of them")
        if self.png_colors is not None:
            _check("png_colors", self.png_colors, int, 2, 256)
            if self.lossless:
                raise SettingsError("png_colors", "contradicts lossless: give one of them")
        if self.max_bytes is not None:
            _check("max_bytes", self.max_bytes, int, 1, math.inf)
        _check("min_saving", self.min_saving, float, 0, 1)
        if self.min_saving == 1:
            raise SettingsError("min_saving", "is 1, must be less than 1")
        if self.background is not None:
            if not isinstance(self.background, Sequence) or len(self.background) != 3:
                raise SettingsError("background", f"is {self.background!r}, must be red, green and blue")
            object.__setattr__(self, "background", tuple(self.background))
            for sample in self.background:
                _check("background", sample, int, 0, 255)
        if self.accept is not None:
            object.__setattr__(self, "accept", tuple(map(Format, accepted_formats(self.accept))))
            if self.format is not Format.AUTO:
                raise SettingsError("accept", f"needs the format auto, not {self.format}")
        if self.archive:
            self._check_archive()

    def _check_archive(self) -> None:
        """Raise SettingsError for a setting that contradicts `archive`, by which every byte is kept."""
        for name in NOT_ARCHIVED:
            if getattr(self, name) != getattr(_DEFAULTS, name):
                raise SettingsError("archive", f"contradicts {name}: every byte of the JPEG is kept")

    @property
    def effective_quality(self) -> int:
        """Return the quality, or its default."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    @property
    def is_search(self) -> bool:
        """Return whether the distance that meets the settings is found by encoding more than once."""
        return self.target_score is not None or self.max_bytes is not None

    @property
    def is_corrected(self) -> bool:
        """Return whether the quality of a lossy WebP or AVIF is corrected by its measured score."""
        is_lossy = self.format in (Format.WEBP, Format.AVIF, Format.AUTO) and not self.lossless
        return is_lossy and self.effort is not Effort.FAST and not self.is_search

    @property
    def is_tried(self) -> bool:
        """Return whether several results may be made of an image, so that its source has to be read again."""
        return self.is_search or self.is_corrected or self.format is Format.AUTO

    @property
    def is_measured(self) -> bool:
        """Return whether the score of the result is measured."""
        return self.score or self.is_search or self.is_corrected

    def delivery_of(self, *, raw: bool) -> Delivery:
        """Return the delivery, or its default for files or raw samples.

        Lossless files, archives, and results for which a target score, a maximum size or a number of colors is set, or
        that are chosen among several, are always SAFE.
        """
        if self.is_tried or self.archive or self.png_colors is not None or (self.lossless and not raw):
            return Delivery.SAFE
        return self.delivery or (Delivery.IMMEDIATE if raw else Delivery.SAFE)

    def format_of_raw(self, channels: int) -> Format:
        """Return the format of the result for raw samples."""
        if self.format is not Format.KEEP:
            return self.format
        return Format.JPEG if channels in (1, 3) and not self.lossless else Format.PNG

    def check_loss(self, loss: str, target: str) -> None:
        """Raise UnsupportedError if the settings are lossless, but the samples have lost something of the source.

        loss    what they have lost ("more than 8 bits per sample"), or ""
        target  format of the result
        """
        if self.lossless and loss:
            raise UnsupportedError(f"lossless: {loss} can't be kept on the way to {target}")

    def digest(self) -> str:
        """Return twelve hex digits that identify the settings."""
        return _digest(*_values_of(self))


def settings_of(settings: Settings | None, keywords: Mapping[str, Any]) -> Settings:
    """Return the settings of a call: `settings`, or the defaults, with the keywords in place of its fields."""
    if settings is None:
        return Settings(**keywords)
    given: object = settings
    if not isinstance(given, Settings):
        problem = f"is of type {type(given).__name__}, must be Settings: give single ones as keywords, quality=80"
        raise SettingsError("settings", problem)
    return dataclasses.replace(settings, **keywords) if keywords else settings


_values_of = operator.attrgetter(*(field.name for field in dataclasses.fields(Settings)))


@lru_cache(256, typed=True)
def _digest(*values: object) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:12]


ENUMS: Mapping[str, type[StrEnum]] = {
    "effort": Effort,
    "format": Format,
    "delivery": Delivery,
    "subsampling": Subsampling,
    "metadata": Metadata,
    "content_credentials": ContentCredentials,
}
# Settings that archiving excludes, and those that they are compared with.
NOT_ARCHIVED = ("quality", "target_score", "max_bytes", "png_colors", "format", "subsampling", "metadata", "background")
_DEFAULTS = Settings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An image as recognized, known as soon as its header is read.

    format          "jpeg", "png", "raw", "webp", …
    description     for people: "baseline JPEG 4:2:0", "PNG, 8-bit RGB", …
    quality         of a JPEG: the setting if we encoded it, else estimated on libjpeg's scale; None for others
    reserved_bytes  bytes that it takes of the memory budget
    """

    format: str
    description: str
    width: int
    height: int
    channels: int
    quality: int | None = None
    reserved_bytes: int = 0

    def __repr__(self) -> str:
        return f"Source({self.description}, {self.width} × {self.height})"


@dataclass(frozen=True, slots=True)
class Bounds:
    """An estimate, which is never a single number."""

    low: float
    central: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """An ESTIMATE, not measured: what some work used, and, as a scenario, what saved bytes would avoid.

    profile, model         the coefficients, and their version
    used_*                 by the work: CPU and memory; in grams also the manufacture of the servers
    storage_class          of the scenario: where the originals are no longer stored
    avoided_*_per_gb_year  per 10^9 bytes that are not stored there for a year; none of it has been credited
    *_co2e_grams           None if no grid is configured
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
    """The outcome for an image, and measurements.

    reason               explanation of the outcome, or ""
    stage_seconds        CPU seconds by stage: decode, encode, verify, score, container
    score                SSIMULACRA2 of the result, if it was measured: 100 if it shows the source's own samples
    encodings            results that were made, of which at most one was delivered
    format_reason        with the format AUTO: why the format was chosen, and which formats were no candidates; else ""
    notices              losses and other remarks
    memory_byte_seconds  integral of the reserved bytes over time
    footprint            added by the service and the command line; None from the pipeline
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
    encodings: int = 0
    notices: tuple[str, ...] = ()
    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    reserved_bytes: int = 0
    memory_byte_seconds: float = 0.0
    version: str = VERSION
    settings_digest: str = ""
    format_reason: str = ""
    footprint: Footprint | None = None

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all stages."""
        return sum(self.stage_seconds.values())

    @property
    def saved(self) -> float:
        """Share of the input's bytes that was saved; negative if the result is larger."""
        return 1 - self.bytes_out / self.bytes_in if self.bytes_in else 0.0

    def __repr__(self) -> str:
        from compressor.humanize import human_bytes, human_saving  # `decimal` takes some milliseconds to import

        formats = " → ".join(dict.fromkeys((self.source_format, self.format)))
        sizes = f"{human_bytes(self.bytes_in)} → {human_bytes(self.bytes_out)}"
        return f"Report({self.outcome}: {formats} {self.width} × {self.height}, {sizes}, {human_saving(self.saved)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The geometry and metadata of raw samples: 8 bits each, interleaved, row-major, unpadded.

    channels     1 grey, 2 grey and alpha, 3 RGB, 4 RGBA
    tile_*       size of a tile; tiles at the right and bottom edges are cropped

    Metadata is written to the result like that of a file, subject to `Settings.metadata`:
    icc_profile  of the samples: a grey profile for 1 or 2 channels, an RGB profile for 3 or 4
    exif         a TIFF stream (beginning with "II" or "MM"); a leading "Exif\\0\\0" is dropped
    xmp          an XMP packet
    comments     texts; "keyword: text" is written to a PNG as a text chunk with that keyword
    density      pixels per meter, horizontally and vertically
    aspect       pixels per unit of unknown length, horizontally and vertically, for pixels that are not square
    """

    width: int
    height: int
    channels: int
    tile_width: int
    tile_height: int
    icc_profile: bytes | None = field(default=None, repr=False)
    exif: bytes | None = field(default=None, repr=False)
    xmp: bytes | None = field(default=None, repr=False)
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
        """Return the size of each kind of metadata that is present."""
        sizes = {name: len(getattr(self, name) or b"") for name in ("icc_profile", "exif", "xmp")}
        sizes["comments"] = sum(len(comment.encode()) for comment in self.comments)
        return {name: size for name, size in sizes.items() if size}


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of samples with its upper left corner at (x, y). Tiles come in raster order."""

    x: int
    y: int
    pixels: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Paths of the files that a client needs to connect to a service. They contain no secrets, so they can be logged.

    tls_ca      certificates of the authorities that the server's certificate must come from; None: no TLS
    tls_cert    certificate chain that the client presents
    tls_key     private key of the certificate
    token_file  file whose first line is sent as a bearer token
    """

    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    token_file: str | None = None
