from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    FORMAT_KEEP: _ClassVar[Format]
    FORMAT_JPEG: _ClassVar[Format]
    FORMAT_PNG: _ClassVar[Format]
    FORMAT_WEBP: _ClassVar[Format]
    FORMAT_AVIF: _ClassVar[Format]
    FORMAT_AUTO: _ClassVar[Format]

class Effort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFORT_UNSPECIFIED: _ClassVar[Effort]
    EFFORT_FAST: _ClassVar[Effort]
    EFFORT_BALANCED: _ClassVar[Effort]
    EFFORT_BEST: _ClassVar[Effort]

class Delivery(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_UNSPECIFIED: _ClassVar[Delivery]
    DELIVERY_SAFE: _ClassVar[Delivery]
    DELIVERY_IMMEDIATE: _ClassVar[Delivery]

class Subsampling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBSAMPLING_UNSPECIFIED: _ClassVar[Subsampling]
    SUBSAMPLING_AUTO: _ClassVar[Subsampling]
    SUBSAMPLING_420: _ClassVar[Subsampling]
    SUBSAMPLING_422: _ClassVar[Subsampling]
    SUBSAMPLING_444: _ClassVar[Subsampling]

class Metadata(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METADATA_UNSPECIFIED: _ClassVar[Metadata]
    METADATA_KEEP: _ClassVar[Metadata]
    METADATA_COLOR: _ClassVar[Metadata]
    METADATA_STRIP: _ClassVar[Metadata]

class ContentCredentials(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTENT_CREDENTIALS_UNSPECIFIED: _ClassVar[ContentCredentials]
    CONTENT_CREDENTIALS_DROP: _ClassVar[ContentCredentials]
    CONTENT_CREDENTIALS_UNCHANGED: _ClassVar[ContentCredentials]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_COMPRESSED: _ClassVar[Outcome]
    OUTCOME_UNCHANGED: _ClassVar[Outcome]
    OUTCOME_LARGER: _ClassVar[Outcome]

class Path(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PATH_UNSPECIFIED: _ClassVar[Path]
    PATH_NONE: _ClassVar[Path]
    PATH_LOSSLESS: _ClassVar[Path]
    PATH_COEFFICIENTS: _ClassVar[Path]
    PATH_PIXELS: _ClassVar[Path]
FORMAT_UNSPECIFIED: Format
FORMAT_KEEP: Format
FORMAT_JPEG: Format
FORMAT_PNG: Format
FORMAT_WEBP: Format
FORMAT_AVIF: Format
FORMAT_AUTO: Format
EFFORT_UNSPECIFIED: Effort
EFFORT_FAST: Effort
EFFORT_BALANCED: Effort
EFFORT_BEST: Effort
DELIVERY_UNSPECIFIED: Delivery
DELIVERY_SAFE: Delivery
DELIVERY_IMMEDIATE: Delivery
SUBSAMPLING_UNSPECIFIED: Subsampling
SUBSAMPLING_AUTO: Subsampling
SUBSAMPLING_420: Subsampling
SUBSAMPLING_422: Subsampling
SUBSAMPLING_444: Subsampling
METADATA_UNSPECIFIED: Metadata
METADATA_KEEP: Metadata
METADATA_COLOR: Metadata
METADATA_STRIP: Metadata
CONTENT_CREDENTIALS_UNSPECIFIED: ContentCredentials
CONTENT_CREDENTIALS_DROP: ContentCredentials
CONTENT_CREDENTIALS_UNCHANGED: ContentCredentials
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_COMPRESSED: Outcome
OUTCOME_UNCHANGED: Outcome
OUTCOME_LARGER: Outcome
PATH_UNSPECIFIED: Path
PATH_NONE: Path
PATH_LOSSLESS: Path
PATH_COEFFICIENTS: Path
PATH_PIXELS: Path

class CompressRequest(_message.Message):
    __slots__ = ("settings", "chunk", "raw", "tile", "finish", "parts")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    settings: Settings
    chunk: bytes
    raw: Raw
    tile: Tile
    finish: Finish
    parts: RequestParts
    def __init__(self, settings: _Optional[_Union[Settings, _Mapping]] = ..., chunk: _Optional[bytes] = ..., raw: _Optional[_Union[Raw, _Mapping]] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ..., parts: _Optional[_Union[RequestParts, _Mapping]] = ...) -> None: ...

class CompressResponse(_message.Message):
    __slots__ = ("source", "chunk", "report", "failure", "parts")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    source: Source
    chunk: bytes
    report: Report
    failure: Failure
    parts: ResponseParts
    def __init__(self, source: _Optional[_Union[Source, _Mapping]] = ..., chunk: _Optional[bytes] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., parts: _Optional[_Union[ResponseParts, _Mapping]] = ...) -> None: ...

class InspectRequest(_message.Message):
    __slots__ = ("settings", "chunk", "raw", "tile", "finish", "parts")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    settings: Settings
    chunk: bytes
    raw: Raw
    tile: Tile
    finish: Finish
    parts: RequestParts
    def __init__(self, settings: _Optional[_Union[Settings, _Mapping]] = ..., chunk: _Optional[bytes] = ..., raw: _Optional[_Union[Raw, _Mapping]] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ..., parts: _Optional[_Union[RequestParts, _Mapping]] = ...) -> None: ...

class UnarchiveRequest(_message.Message):
    __slots__ = ("chunk", "finish", "parts")
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    finish: Finish
    parts: RequestParts
    def __init__(self, chunk: _Optional[bytes] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ..., parts: _Optional[_Union[RequestParts, _Mapping]] = ...) -> None: ...

class UnarchiveResponse(_message.Message):
    __slots__ = ("source", "chunk", "report", "failure", "parts")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    source: Source
    chunk: bytes
    report: Report
    failure: Failure
    parts: ResponseParts
    def __init__(self, source: _Optional[_Union[Source, _Mapping]] = ..., chunk: _Optional[bytes] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., parts: _Optional[_Union[ResponseParts, _Mapping]] = ...) -> None: ...

class RequestParts(_message.Message):
    __slots__ = ("settings", "raw", "chunk", "tile", "finish")
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    TILE_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    settings: Settings
    raw: Raw
    chunk: bytes
    tile: Tile
    finish: Finish
    def __init__(self, settings: _Optional[_Union[Settings, _Mapping]] = ..., raw: _Optional[_Union[Raw, _Mapping]] = ..., chunk: _Optional[bytes] = ..., tile: _Optional[_Union[Tile, _Mapping]] = ..., finish: _Optional[_Union[Finish, _Mapping]] = ...) -> None: ...

class ResponseParts(_message.Message):
    __slots__ = ("source", "chunk", "report")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    source: Source
    chunk: bytes
    report: Report
    def __init__(self, source: _Optional[_Union[Source, _Mapping]] = ..., chunk: _Optional[bytes] = ..., report: _Optional[_Union[Report, _Mapping]] = ...) -> None: ...

class InspectResponse(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: Source
    def __init__(self, source: _Optional[_Union[Source, _Mapping]] = ...) -> None: ...

class Settings(_message.Message):
    __slots__ = ("quality", "target_score", "max_bytes", "lossless", "effort", "format", "delivery", "subsampling", "metadata", "min_saving", "background", "content_credentials", "score", "png_colors", "accept", "archive")
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    TARGET_SCORE_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOSSLESS_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    SUBSAMPLING_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    MIN_SAVING_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    CONTENT_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PNG_COLORS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_FIELD_NUMBER: _ClassVar[int]
    ARCHIVE_FIELD_NUMBER: _ClassVar[int]
    quality: int
    target_score: float
    max_bytes: int
    lossless: bool
    effort: Effort
    format: Format
    delivery: Delivery
    subsampling: Subsampling
    metadata: Metadata
    min_saving: float
    background: Color
    content_credentials: ContentCredentials
    score: bool
    png_colors: int
    accept: _containers.RepeatedScalarFieldContainer[Format]
    archive: bool
    def __init__(self, quality: _Optional[int] = ..., target_score: _Optional[float] = ..., max_bytes: _Optional[int] = ..., lossless: bool = ..., effort: _Optional[_Union[Effort, str]] = ..., format: _Optional[_Union[Format, str]] = ..., delivery: _Optional[_Union[Delivery, str]] = ..., subsampling: _Optional[_Union[Subsampling, str]] = ..., metadata: _Optional[_Union[Metadata, str]] = ..., min_saving: _Optional[float] = ..., background: _Optional[_Union[Color, _Mapping]] = ..., content_credentials: _Optional[_Union[ContentCredentials, str]] = ..., score: bool = ..., png_colors: _Optional[int] = ..., accept: _Optional[_Iterable[_Union[Format, str]]] = ..., archive: bool = ...) -> None: ...

class Color(_message.Message):
    __slots__ = ("red", "green", "blue")
    RED_FIELD_NUMBER: _ClassVar[int]
    GREEN_FIELD_NUMBER: _ClassVar[int]
    BLUE_FIELD_NUMBER: _ClassVar[int]
    red: int
    green: int
    blue: int
    def __init__(self, red: _Optional[int] = ..., green: _Optional[int] = ..., blue: _Optional[int] = ...) -> None: ...

class Raw(_message.Message):
    __slots__ = ("width", "height", "channels", "tile_width", "tile_height", "icc_profile", "exif", "xmp", "comments", "density", "aspect")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    TILE_WIDTH_FIELD_NUMBER: _ClassVar[int]
    TILE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ICC_PROFILE_FIELD_NUMBER: _ClassVar[int]
    EXIF_FIELD_NUMBER: _ClassVar[int]
    XMP_FIELD_NUMBER: _ClassVar[int]
    COMMENTS_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    ASPECT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    channels: int
    tile_width: int
    tile_height: int
    icc_profile: bytes
    exif: bytes
    xmp: bytes
    comments: _containers.RepeatedScalarFieldContainer[str]
    density: Density
    aspect: Density
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., channels: _Optional[int] = ..., tile_width: _Optional[int] = ..., tile_height: _Optional[int] = ..., icc_profile: _Optional[bytes] = ..., exif: _Optional[bytes] = ..., xmp: _Optional[bytes] = ..., comments: _Optional[_Iterable[str]] = ..., density: _Optional[_Union[Density, _Mapping]] = ..., aspect: _Optional[_Union[Density, _Mapping]] = ...) -> None: ...

class Density(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ...) -> None: ...

class Tile(_message.Message):
    __slots__ = ("x", "y", "pixels")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    pixels: bytes
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ..., pixels: _Optional[bytes] = ...) -> None: ...

class Finish(_message.Message):
    __slots__ = ("total_bytes", "crc32c")
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    total_bytes: int
    crc32c: int
    def __init__(self, total_bytes: _Optional[int] = ..., crc32c: _Optional[int] = ...) -> None: ...

class Source(_message.Message):
    __slots__ = ("format", "description", "width", "height", "channels", "quality", "reserved_bytes")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    RESERVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    format: str
    description: str
    width: int
    height: int
    channels: int
    quality: int
    reserved_bytes: int
    def __init__(self, format: _Optional[str] = ..., description: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., channels: _Optional[int] = ..., quality: _Optional[int] = ..., reserved_bytes: _Optional[int] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("outcome", "reason", "bytes_in", "bytes_out", "crc32c", "source_format", "format", "width", "height", "path", "score", "notices", "stage_seconds", "reserved_bytes", "version", "settings_digest", "memory_byte_seconds", "footprint", "encodings", "format_reason")
    class StageSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BYTES_IN_FIELD_NUMBER: _ClassVar[int]
    BYTES_OUT_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    STAGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RESERVED_BYTES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FOOTPRINT_FIELD_NUMBER: _ClassVar[int]
    ENCODINGS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_REASON_FIELD_NUMBER: _ClassVar[int]
    outcome: Outcome
    reason: str
    bytes_in: int
    bytes_out: int
    crc32c: int
    source_format: str
    format: str
    width: int
    height: int
    path: Path
    score: float
    notices: _containers.RepeatedScalarFieldContainer[str]
    stage_seconds: _containers.ScalarMap[str, float]
    reserved_bytes: int
    version: str
    settings_digest: str
    memory_byte_seconds: float
    footprint: Footprint
    encodings: int
    format_reason: str
    def __init__(self, outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., bytes_in: _Optional[int] = ..., bytes_out: _Optional[int] = ..., crc32c: _Optional[int] = ..., source_format: _Optional[str] = ..., format: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., path: _Optional[_Union[Path, str]] = ..., score: _Optional[float] = ..., notices: _Optional[_Iterable[str]] = ..., stage_seconds: _Optional[_Mapping[str, float]] = ..., reserved_bytes: _Optional[int] = ..., version: _Optional[str] = ..., settings_digest: _Optional[str] = ..., memory_byte_seconds: _Optional[float] = ..., footprint: _Optional[_Union[Footprint, _Mapping]] = ..., encodings: _Optional[int] = ..., format_reason: _Optional[str] = ...) -> None: ...

class Footprint(_message.Message):
    __slots__ = ("profile", "model", "used_energy_joules", "used_co2e_grams", "storage_class", "avoided_energy_joules_per_gb_year", "avoided_co2e_grams_per_gb_year")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    USED_ENERGY_JOULES_FIELD_NUMBER: _ClassVar[int]
    USED_CO2E_GRAMS_FIELD_NUMBER: _ClassVar[int]
    STORAGE_CLASS_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_ENERGY_JOULES_PER_GB_YEAR_FIELD_NUMBER: _ClassVar[int]
    AVOIDED_CO2E_GRAMS_PER_GB_YEAR_FIELD_NUMBER: _ClassVar[int]
    profile: str
    model: str
    used_energy_joules: Bounds
    used_co2e_grams: Bounds
    storage_class: str
    avoided_energy_joules_per_gb_year: Bounds
    avoided_co2e_grams_per_gb_year: Bounds
    def __init__(self, profile: _Optional[str] = ..., model: _Optional[str] = ..., used_energy_joules: _Optional[_Union[Bounds, _Mapping]] = ..., used_co2e_grams: _Optional[_Union[Bounds, _Mapping]] = ..., storage_class: _Optional[str] = ..., avoided_energy_joules_per_gb_year: _Optional[_Union[Bounds, _Mapping]] = ..., avoided_co2e_grams_per_gb_year: _Optional[_Union[Bounds, _Mapping]] = ...) -> None: ...

class Bounds(_message.Message):
    __slots__ = ("low", "central", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    CENTRAL_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: float
    central: float
    high: float
    def __init__(self, low: _Optional[float] = ..., central: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "message", "field", "format", "place", "offset", "retry_after_seconds")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    PLACE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    message: str
    field: str
    format: str
    place: str
    offset: int
    retry_after_seconds: float
    def __init__(self, code: _Optional[int] = ..., message: _Optional[str] = ..., field: _Optional[str] = ..., format: _Optional[str] = ..., place: _Optional[str] = ..., offset: _Optional[int] = ..., retry_after_seconds: _Optional[float] = ...) -> None: ...
