"""Methods of services: the messages of a request, and the result in those of a response."""

from abc import ABC, abstractmethod
from typing import Any

from benchmarks.service import peer_server


class RejectedError(Exception):
    """A call that was rejected as busy."""


class Rpc(ABC):
    """A method of a service, `/package.Service/Method`."""

    method: str

    @abstractmethod
    def messages(self, data: bytes, settings: dict[str, Any]) -> list[bytes]:
        """Return the messages of a request."""

    @abstractmethod
    def result(self, messages: list[bytes]) -> bytes:
        """Return the result in the messages of a response. Raises RejectedError, or RuntimeError without a result."""


class CompressRpc(Rpc):
    """The method of our service."""

    method = "/compressor.v1.CompressorService/Compress"

    def __init__(self) -> None:
        from compressor.v1 import compressor_pb2 as pb

        self._request, self._parse = pb.CompressRequest, pb.CompressResponse.FromString

    def messages(self, data: bytes, settings: dict[str, Any]) -> list[bytes]:
        from compressor.client import transfer
        from compressor.settings import Settings
        from compressor.wire import CHUNK_BYTES

        source = transfer.SplitSource(None, [data], ready=True)
        builder = transfer.RequestBuilder(self._request, CHUNK_BYTES)
        return [message.SerializeToString() for message in builder.all(Settings(**settings), source)]

    def result(self, messages: list[bytes]) -> bytes:
        responses = [self._parse(message) for message in messages]
        failure = responses[-1].failure.message if responses else "no message"
        if responses and responses[-1].failure.HasField("retry_after_seconds"):
            raise RejectedError(failure)
        parts = [response.parts if response.HasField("parts") else response for response in responses]
        if not parts or not parts[-1].HasField("report"):
            raise RuntimeError(f"a call has no result: {failure}")
        return b"".join(part.chunk for part in parts)


class RecodeRpc(Rpc):
    """The method of a peer, which has no settings: a whole file in one message, a whole result in another."""

    method = f"/{peer_server.SERVICE}/{peer_server.METHOD}"

    def messages(self, data: bytes, settings: dict[str, Any]) -> list[bytes]:
        return [data]

    def result(self, messages: list[bytes]) -> bytes:
        if len(messages) != 1:
            raise RuntimeError(f"a response of {len(messages)} messages, not 1")
        return messages[0]
