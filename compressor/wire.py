"""Conversion of settings, reports and errors to protocol messages and back, for the service and the clients.

An enum value is named after its Python value: `Format.JPEG = "jpeg"` is sent as FORMAT_JPEG. The zero of every enum
means the default, and so does a scalar that is not set.
"""

import functools
import re
from enum import StrEnum
from typing import Any, TypeVar

from google.rpc import code_pb2

from compressor.errors import (
    BusyError,
    CallError,
    CompressorError,
    FormatError,
    IncompleteError,
    LimitError,
    SettingsError,
    UnsupportedError,
)
from compressor.settings import ENUMS, Bounds, Footprint, Format, Outcome, Path, Raw, Report, Settings, Source, Tile
from compressor.v1 import compressor_pb2 as pb

CHUNK_BYTES = 256 << 10  # the usual size of chunks on both sides
TILE_BYTES_MAX = 1 << 20
MESSAGE_BYTES_MAX = TILE_BYTES_MAX + (
    64 << 10
)  # a full tile, or the metadata of raw samples, with the fields around it
RAW_METADATA_BYTES_MAX = 1 << 20
RAW_COMMENTS_MAX = 4096

E = TypeVar("E", bound=StrEnum)

SCALARS = ("quality", "target_score", "max_bytes", "score", "lossless", "min_saving", "archive", "png_colors")


@functools.lru_cache(maxsize=None, typed=True)  # members of different enums may be equal
def _enum_to_proto(value: StrEnum) -> Any:
    name = type(value).__name__
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
    return int(getattr(pb, name).Value(f"{prefix}_{value.value.upper()}"))


@functools.lru_cache(maxsize=256)  # numbers come from clients
def _enum_from_proto(field: str, kind: type[E], number: int) -> E:
    """Return the value that `number` encodes. Raises SettingsError for one that only a newer peer knows."""
    for value in kind:
        if _enum_to_proto(value) == number:
            return value
    raise SettingsError(field, f"is {number}, must be one of {', '.join(kind)}")


def settings_to_proto(settings: Settings) -> pb.Settings:
    """Return a message with every setting, so that the result does not depend on the server's defaults."""
    message = pb.Settings()
    for name in SCALARS:
        if (value := getattr(settings, name)) is not None:
            setattr(message, name, value)
    for name in ENUMS:
        if (value := getattr(settings, name)) is not None:
            setattr(message, name, _enum_to_proto(value))
    message.accept.extend(_enum_to_proto(format) for format in settings.accept or ())
    if settings.background is not None:
        red, green, blue = settings.background
        message.background.CopyFrom(pb.Color(red=red, green=green, blue=blue))
    return message


def settings_from_proto(message: pb.Settings) -> Settings:
    """Return the settings of a message. Raises SettingsError for an invalid one."""
    given: dict[str, Any] = {name: getattr(message, name) for name in SCALARS if message.HasField(name)}
    for name, kind in ENUMS.items():
        if number := getattr(message, name):
            given[name] = _enum_from_proto(name, kind, number)
    if message.accept:
        if len(message.accept) > len(Format):  # before each is looked at
            raise SettingsError("accept", f"has {len(message.accept)} formats")
        given["accept"] = tuple(_enum_from_proto("accept", Format, number) for number in message.accept)
    if message.HasField("background"):
        color = message.background
        given["background"] = (color.red, color.green, color.blue)
    return Settings(**given)


def raw_to_proto(raw: Raw) -> pb.Raw:
    """Return the message that describes raw samples. Raises LimitError if the metadata is too large for it."""
    _check_metadata(raw)
    return pb.Raw(
        width=raw.width,
        height=raw.height,
        channels=raw.channels,
        tile_width=raw.tile_width,
        tile_height=raw.tile_height,
        icc_profile=raw.icc_profile,
        exif=raw.exif,
        xmp=raw.xmp,
        comments=raw.comments,
        density=_density_to_proto(raw.density),
        aspect=_density_to_proto(raw.aspect),
    )


def raw_from_proto(message: pb.Raw) -> Raw:
    """Return the description of raw samples. The pipeline checks its geometry.

    Raises SettingsError for invalid metadata, LimitError for metadata that is too large.
    """
    _check_comments(len(message.comments))  # before there is an object for each
    raw = Raw(
        width=message.width,
        height=message.height,
        channels=message.channels,
        tile_width=message.tile_width,
        tile_height=message.tile_height,
        icc_profile=message.icc_profile if message.HasField("icc_profile") else None,
        exif=message.exif if message.HasField("exif") else None,
        xmp=message.xmp if message.HasField("xmp") else None,
        comments=tuple(message.comments),
        density=(message.density.x, message.density.y) if message.HasField("density") else None,
        aspect=(message.aspect.x, message.aspect.y) if message.HasField("aspect") else None,
    )
    _check_metadata(raw)
    return raw


def _check_metadata(raw: Raw) -> None:
    _check_comments(len(raw.comments))
    sizes = raw.metadata_bytes()
    if sum(sizes.values()) > RAW_METADATA_BYTES_MAX:
        largest = max(sizes, key=lambda name: sizes[name])
        limit = f"raw samples can have {RAW_METADATA_BYTES_MAX} bytes of metadata in all"
        raise LimitError(f"raw.{largest} has {sizes[largest]} of {sum(sizes.values())} bytes, {limit}")


def _check_comments(count: int) -> None:
    if count > RAW_COMMENTS_MAX:
        raise LimitError(f"raw.comments has {count} texts, more than {RAW_COMMENTS_MAX}")


def _density_to_proto(density: tuple[int, int] | None) -> pb.Density | None:
    return None if density is None else pb.Density(x=density[0], y=density[1])


def tile_to_proto(tile: Tile) -> pb.Tile:
    """Return the message of a tile."""
    return pb.Tile(x=tile.x, y=tile.y, pixels=tile.pixels)


def tile_from_proto(message: pb.Tile) -> Tile:
    """Return the tile of a message. Its pixels are copied once."""
    return Tile(message.x, message.y, message.pixels)


def source_to_proto(source: Source) -> pb.Source:
    """Return the message of a source."""
    return pb.Source(
        format=source.format,
        description=source.description,
        width=source.width,
        height=source.height,
        channels=source.channels,
        quality=source.quality,
        reserved_bytes=source.reserved_bytes,
    )


def source_from_proto(message: pb.Source) -> Source:
    """Return the source of a message."""
    return Source(
        format=message.format,
        description=message.description,
        width=message.width,
        height=message.height,
        channels=message.channels,
        quality=message.quality if message.HasField("quality") else None,
        reserved_bytes=message.reserved_bytes,
    )


def report_to_proto(report: Report, bytes_out: int, crc32c: int) -> pb.Report:
    """Return the message of a report, with the length and the CRC-32C of the chunks that were sent."""
    return pb.Report(
        outcome=_enum_to_proto(report.outcome),
        reason=report.reason,
        bytes_in=report.bytes_in,
        bytes_out=bytes_out,
        crc32c=crc32c,
        source_format=report.source_format,
        format=report.format,
        width=report.width,
        height=report.height,
        path=_enum_to_proto(report.path),
        score=report.score,
        encodings=report.encodings,
        format_reason=report.format_reason,
        notices=report.notices,
        stage_seconds=report.stage_seconds,
        reserved_bytes=report.reserved_bytes,
        version=report.version,
        settings_digest=report.settings_digest,
        memory_byte_seconds=report.memory_byte_seconds,
        footprint=None if report.footprint is None else _footprint_to_proto(report.footprint),
    )


def report_from_proto(message: pb.Report) -> Report:
    """Return the report of a message. Its checksum is verified where chunks are received."""
    return Report(
        outcome=_enum_from_proto("outcome", Outcome, message.outcome),
        reason=message.reason,
        bytes_in=message.bytes_in,
        bytes_out=message.bytes_out,
        source_format=message.source_format,
        format=message.format,
        width=message.width,
        height=message.height,
        path=_enum_from_proto("path", Path, message.path),
        score=message.score if message.HasField("score") else None,
        encodings=message.encodings,
        format_reason=message.format_reason,
        notices=tuple(message.notices),
        stage_seconds=dict(message.stage_seconds),
        reserved_bytes=message.reserved_bytes,
        version=message.version,
        settings_digest=message.settings_digest,
        memory_byte_seconds=message.memory_byte_seconds,
        footprint=_footprint_from_proto(message.footprint) if message.HasField("footprint") else None,
    )


FOOTPRINT_TEXTS = ("profile", "model", "storage_class")
FOOTPRINT_BOUNDS = (
    "used_energy_joules",
    "used_co2e_grams",
    "avoided_energy_joules_per_gb_year",
    "avoided_co2e_grams_per_gb_year",
)


def _footprint_to_proto(footprint: Footprint) -> pb.Footprint:
    message = pb.Footprint(**{name: getattr(footprint, name) for name in FOOTPRINT_TEXTS})
    for name in FOOTPRINT_BOUNDS:
        if (bounds := getattr(footprint, name)) is not None:
            getattr(message, name).CopyFrom(pb.Bounds(low=bounds.low, central=bounds.central, high=bounds.high))
    return message


def _footprint_from_proto(message: pb.Footprint) -> Footprint:
    values: dict[str, Any] = {name: getattr(message, name) for name in FOOTPRINT_TEXTS}
    for name in FOOTPRINT_BOUNDS:
        found = getattr(message, name)
        values[name] = Bounds(found.low, found.central, found.high) if message.HasField(name) else None
    return Footprint(**values)


def failure_to_proto(code: int, error: Exception) -> pb.Failure:
    """Return the failure that ends a call with the status `code`. Its message is a whole line, ready to be shown."""
    failure = pb.Failure(code=code, message=str(error))
    if isinstance(error, SettingsError):
        failure.field = error.field
    if isinstance(error, FormatError):
        failure.format, failure.place = error.format, error.place
        if error.offset is not None:
            failure.offset = error.offset
    if isinstance(error, BusyError):
        failure.retry_after_seconds = error.retry_after_seconds
    return failure


def error_from_failure(failure: pb.Failure) -> CompressorError:
    """Return the error that the other side raised, with its fields."""
    code, message = failure.code, failure.message
    if code == code_pb2.INVALID_ARGUMENT and failure.format:
        offset = failure.offset if failure.HasField("offset") else None
        start = str(FormatError(failure.format, failure.place, offset, ""))
        return FormatError(failure.format, failure.place, offset, message.removeprefix(start))
    if code == code_pb2.INVALID_ARGUMENT and failure.field:
        return SettingsError(failure.field, message.removeprefix(f"{failure.field}: "))
    if code == code_pb2.UNIMPLEMENTED:
        return UnsupportedError(message)
    if code == code_pb2.RESOURCE_EXHAUSTED:
        return LimitError(message)
    if code == code_pb2.UNAVAILABLE and failure.HasField("retry_after_seconds"):
        return BusyError(message, failure.retry_after_seconds)
    if code == code_pb2.DATA_LOSS:
        return IncompleteError(message)
    return CallError(code_name(code), message)


def code_name(code: int) -> str:
    """Return the name of a status code, CODE_n for an undefined one."""
    try:
        return str(code_pb2.Code.Name(code))
    except ValueError:
        return f"CODE_{code}"
