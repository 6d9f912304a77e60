"""Messages of gRPC as parts of an upload, and items of a call's output as messages."""

from typing import Any, TypeVar

from compressor import wire
from compressor.calls.call import Output
from compressor.calls.upload import Finish, UploadPart
from compressor.errors import SettingsError
from compressor.v1 import compressor_pb2 as pb

UploadMessage = pb.CompressRequest | pb.InspectRequest | pb.UnarchiveRequest
Response = TypeVar("Response", pb.CompressResponse, pb.UnarchiveResponse)


def parts_from_proto(request: UploadMessage) -> tuple[list[UploadPart], int]:
    """Return the parts of a message, and how many bytes of image or metadata are in it. An empty chunk is no part.

    Each `bytes` field is read once, since reading it makes a copy.
    """
    fields: Any = request.parts if request.HasField("parts") else request
    names = fields.DESCRIPTOR.fields_by_name  # an UnarchiveRequest has none for settings or samples
    parts, size = list[UploadPart](), 0
    if "settings" in names and fields.HasField("settings"):
        parts.append(wire.settings_from_proto(fields.settings))
    if "raw" in names and fields.HasField("raw"):
        raw = wire.raw_from_proto(fields.raw)
        parts.append(raw)
        size += sum(raw.metadata_bytes().values())
    if chunk := fields.chunk:
        parts.append(chunk)
        size += len(chunk)
    if "tile" in names and fields.HasField("tile"):
        tile = wire.tile_from_proto(fields.tile)
        parts.append(tile)
        size += len(tile.pixels)
    if fields.HasField("finish"):
        finish = fields.finish
        parts.append(Finish(finish.total_bytes, finish.crc32c if finish.HasField("crc32c") else None))
    if not parts and not fields.HasField("chunk"):
        raise SettingsError("part", "is empty, must be one of settings, chunk, raw, tile, finish, parts")
    return parts, size


def response_of(kind: type[Response], output: Output, report: pb.Report | None) -> Response:
    """Return an item of the output as a message. report: that of its trailer."""
    source = None if output.source is None else wire.source_to_proto(output.source)
    fields: dict[str, Any] = {"source": source, "chunk": output.chunk, "report": report}
    if sum(value is not None for value in fields.values()) > 1:
        return kind(parts=pb.ResponseParts(**fields))
    return kind(**fields)
