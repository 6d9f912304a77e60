"""Every way in which a call ends, as a client receives it."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from compressor import errors, wire
from compressor.errors import BusyError, CompressorError, FormatError, SettingsError
from compressor.service import status
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.fake_pipeline import file_of
from tests.service.running import Running, eventually

Part = pb.CompressRequest


def upload(data: bytes, *, settings: pb.Settings | None = None, finish: pb.Finish | None = None) -> Iterator[Part]:
    yield Part(settings=settings or pb.Settings())
    for start in range(0, len(data), wire.CHUNK_BYTES):
        yield Part(chunk=data[start : start + wire.CHUNK_BYTES])
    yield Part(finish=finish or pb.Finish(total_bytes=len(data)))


def failed(stub: Any, parts: Iterable[Part], **options: Any) -> tuple[grpc.RpcError, pb.Failure, status_pb2.Status]:
    """Return how a call failed: its error, the failure in band, and the status with its details."""
    failure = None
    with pytest.raises(grpc.RpcError) as caught:
        for response in stub.Compress(iter(parts), **options):
            assert failure is None, "nothing comes after a failure"
            assert response.WhichOneof("part") != "report"
            if response.WhichOneof("part") == "failure":
                failure = response.failure
    error = caught.value
    details = rpc_status.from_call(error)
    assert failure is not None and details is not None
    assert failure.code == error.code().value[0] == details.code
    assert failure.message == error.details() == details.message
    copy = pb.Failure()
    assert details.details[-1].Unpack(copy) and copy == failure
    return error, failure, details


def detail(details: status_pb2.Status, kind: Callable[[], Any]) -> Any:
    message = kind()
    assert details.details[0].Unpack(message)
    return message


def subclasses(kind: type[CompressorError]) -> set[type[CompressorError]]:
    return {kind} | {below for child in kind.__subclasses__() for below in subclasses(child)}


def test_every_error_has_a_status() -> None:
    ours = {kind for kind in subclasses(CompressorError) if kind.__module__ == errors.__name__}

    assert ours - {CompressorError, errors.CallError} == set(status.CODES)  # which only clients raise


@pytest.mark.parametrize(
    "error",
    [
        FormatError("JPEG", "SOS", 623, "length is 1, must be at least 6"),
        FormatError("PNG", "IHDR", None, "is missing"),
        SettingsError("quality", "is 0, must be from 1 to 100"),
        errors.UnsupportedError("arithmetic coding"),
        errors.LimitError("too large"),
        BusyError("no room", 1.5),
        errors.IncompleteError("cut off"),
    ],
    ids=repr,
)
def test_errors_reach_the_client_unchanged(error: Any) -> None:
    back = wire.error_from_failure(status.failure_of(error))

    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_a_setting_out_of_range_is_an_invalid_argument_with_its_field(stub: Any, service: Any) -> None:
    error, failure, details = failed(stub, upload(service.small, settings=pb.Settings(quality=101)))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.field == "quality"
    violation = detail(details, error_details_pb2.BadRequest).field_violations[0]
    assert violation.field == "settings.quality"
    assert "101" in violation.description


def test_an_enum_value_of_a_newer_client_is_an_invalid_argument(stub: Any, service: Any) -> None:
    error, failure, _ = failed(stub, upload(service.small, settings=pb.Settings(format=cast(Any, 99))))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.field == "format"


def test_a_broken_image_is_an_invalid_argument_with_place_and_offset(stub: Any, service: Any) -> None:
    error, failure, details = failed(stub, upload(service.broken))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.format and failure.place and failure.HasField("offset")
    violation = detail(details, error_details_pb2.BadRequest).field_violations[0]
    assert violation.field == "chunk"
    assert f"byte {failure.offset}" in violation.description


@pytest.mark.parametrize(
    "parts",
    [
        [Part(chunk=b"no settings")],
        [Part(settings=pb.Settings()), Part(settings=pb.Settings())],
        [Part(settings=pb.Settings()), Part(tile=pb.Tile(pixels=b"abc"))],
        [Part(settings=pb.Settings()), Part(chunk=b"FAKEhalf"), Part(raw=pb.Raw(width=1))],
        [Part()],
    ],
    ids=["no settings", "settings twice", "tile without raw", "raw after chunk", "nothing"],
)
def test_parts_out_of_order_are_invalid_arguments(stub: Any, parts: Any) -> None:
    error, failure, _ = failed(stub, parts)

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.field == "part"


def test_an_unsupported_image_is_unimplemented(fake_stub: Any) -> None:
    assert failed(fake_stub, upload(b"FAKEnope"))[0].code() is grpc.StatusCode.UNIMPLEMENTED


def test_an_image_over_the_limit_is_resource_exhausted(fake_stub: Any) -> None:
    assert failed(fake_stub, upload(b"FAKEover"))[0].code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_busy_service_is_unavailable_and_says_when_to_retry(fake_stub: Any) -> None:
    error, failure, details = failed(fake_stub, upload(b"FAKEbusy"))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert failure.retry_after_seconds == 0.125
    assert detail(details, error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() == 125


def test_a_bug_is_internal_with_a_message_and_no_secrets(fake_stub: Any, caplog: pytest.LogCaptureFixture) -> None:
    error, failure, _ = failed(fake_stub, upload(b"FAKEbug!"))

    assert error.code() is grpc.StatusCode.INTERNAL
    assert "ZeroDivisionError" in failure.message
    assert "division by zero" not in failure.message
    assert any(record.exc_info for record in caplog.records)


def test_an_error_far_into_a_large_upload_arrives_with_its_offset(fake_stub: Any) -> None:
    for _ in range(20):
        error, failure, _ = failed(fake_stub, upload(file_of(8 << 20, b"late")))

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.offset > 1 << 20


@pytest.mark.parametrize(
    "finish",
    [lambda data: pb.Finish(total_bytes=len(data) + 1), lambda data: pb.Finish(total_bytes=len(data), crc32c=1)],
    ids=["wrong total", "wrong checksum"],
)
def test_an_upload_that_differs_from_its_finish_is_data_loss(stub: Any, service: Any, finish: Any) -> None:
    before = service.counts.reported
    error, _, _ = failed(stub, upload(service.small, finish=finish(service.small)))

    assert error.code() is grpc.StatusCode.DATA_LOSS
    assert service.counts.reported == before


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_an_upload_without_finish_is_data_loss(stub: Any, service: Any, share: float) -> None:
    sent = service.small[: int(len(service.small) * share)]
    parts = [part for part in upload(sent) if part.WhichOneof("part") != "finish"]

    assert failed(stub, parts)[0].code() is grpc.StatusCode.DATA_LOSS


def test_a_call_without_any_part_is_data_loss(stub: Any) -> None:
    assert failed(stub, [])[0].code() is grpc.StatusCode.DATA_LOSS


def test_an_empty_file_is_an_invalid_argument(stub: Any) -> None:
    assert failed(stub, upload(b""))[0].code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_over_the_limit_is_resource_exhausted(stub: Any) -> None:
    parts = [Part(settings=pb.Settings()), Part(chunk=bytes(wire.MESSAGE_BYTES_MAX + 1))]
    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Compress(iter(parts)))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_invalid_message_is_an_invalid_argument(service: Any) -> None:
    with grpc.insecure_channel(service.address) as channel:
        method: Any = channel.stream_stream("/compressor.v1.CompressorService/Compress")
        with pytest.raises(grpc.RpcError) as caught:
            list(method(iter([b"\xff\xff\xff"])))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_deadline_ends_the_call_and_its_thread(stub: Any, service: Any) -> None:
    before = service.counts.closed

    def endless() -> Iterator[Part]:
        yield Part(settings=pb.Settings())
        yield Part(chunk=service.large[:1000])
        time.sleep(1)

    with pytest.raises(grpc.RpcError) as caught:
        list(stub.Compress(endless(), timeout=0.3))

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert eventually(lambda: service.counts.closed > before, 1)


def test_a_client_that_stops_sending_gets_deadline_exceeded(idle: Any) -> None:
    def endless() -> Iterator[Part]:
        yield Part(settings=pb.Settings())
        yield Part(chunk=b"FAKEhalf")
        time.sleep(2)

    with grpc.insecure_channel(idle.address) as channel:
        stub = rpc.CompressorServiceStub(channel)
        assert failed(stub, endless())[0].code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_client_that_sends_nothing_gets_deadline_exceeded(idle: Any) -> None:
    def nothing() -> Iterator[Part]:
        time.sleep(2)
        yield from ()

    with grpc.insecure_channel(idle.address) as channel:
        stub = rpc.CompressorServiceStub(channel)
        assert failed(stub, nothing())[0].code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_client_that_does_not_read_is_cut_off(idle: Any) -> None:
    before = idle.counts.closed
    options = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16)]
    with grpc.insecure_channel(idle.address, options) as channel:
        call = rpc.CompressorServiceStub(channel).Compress(upload(file_of(16 << 20)))

        assert eventually(lambda: idle.counts.closed > before, 10)
        with pytest.raises(grpc.RpcError) as caught:
            list(call)

    assert caught.value.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_one_call_more_than_the_limit_is_unavailable() -> None:
    from tests.service.fake_pipeline import fake_codec

    with Running(fake_codec(), max_concurrent_calls=1) as running, grpc.insecure_channel(running.address) as channel:
        stub = rpc.CompressorServiceStub(channel)
        first = stub.Compress(held := Held())
        next(first)
        error, failure, _ = failed(stub, upload(b"FAKEhalf"))
        held.release()
        assert [response.WhichOneof("part") for response in first][-1] == "report"
        assert [response.WhichOneof("part") for response in stub.Compress(upload(b"FAKEhalf"))][-1] == "report"

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert failure.retry_after_seconds > 0


def test_initial_metadata_comes_before_anything_is_sent(stub: Any) -> None:
    call = stub.Compress(held := Held(silent=True), timeout=10)

    metadata = dict(call.initial_metadata())

    assert metadata["compressor-version"]
    assert metadata["compressor-draining"] == "false"
    held.release()
    call.cancel()


def test_health_knows_the_service(service: Any) -> None:
    with grpc.insecure_channel(service.address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        for name in ("", "compressor.v1.CompressorService"):
            answer = check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_service(service: Any) -> None:
    with grpc.insecure_channel(service.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)

        assert "compressor.v1.CompressorService" in database.get_services()
        assert database.FindFileContainingSymbol("compressor.v1.CompressRequest").package == "compressor.v1"


class Held:
    """An upload that stalls after its first bytes until it is released."""

    def __init__(self, *, silent: bool = False) -> None:
        import threading

        self._go = threading.Event()
        self._parts = iter([] if silent else [Part(settings=pb.Settings()), Part(chunk=b"FAKEhalf")])

    def __iter__(self) -> "Held":
        return self

    def __next__(self) -> Part:
        for part in self._parts:
            return part
        if not self._go.is_set():
            self._go.wait(30)
            self._parts = iter([])
            return Part(finish=pb.Finish(total_bytes=8))
        raise StopIteration

    def release(self) -> None:
        self._go.set()


def test_code_names_are_those_of_google_rpc() -> None:
    assert wire.code_name(code_pb2.DATA_LOSS) == "DATA_LOSS"
    assert wire.code_name(99) == "CODE_99"
