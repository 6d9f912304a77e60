"""Server reflection: both versions, and who may use it."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from compressor.client import health
from compressor.errors import SettingsError
from compressor.service.config import ServerConfig
from compressor.service.tenants import line_of
from compressor.v1 import compressor_pb2
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running

VERSIONS = ["v1", "v1alpha"]
SERVICES = {
    "compressor.v1.CompressorService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
}
BEARER = (("authorization", "Bearer secret"),)


def ask(address: str, version: str, metadata: Any = None, **question: str) -> Any:
    """Return the response to one question."""
    with grpc.insecure_channel(address) as channel:
        method = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        requests = iter([reflection_pb2.ServerReflectionRequest(**question)])
        return next(iter(method(requests, timeout=20, metadata=metadata)))


def code_of(address: str, version: str, metadata: Any = None) -> str:
    try:
        ask(address, version, metadata, list_services="")
    except grpc.RpcError as error:
        failed: Any = error
        return str(failed.code().name)
    return "OK"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(line_of("shop", "secret"))
    return str(path)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with Running(fake_codec()) as running:
        yield running


@pytest.mark.parametrize("version", VERSIONS)
def test_all_services_are_listed(running: Any, version: str) -> None:
    listed = ask(running.address, version, list_services="").list_services_response.service

    assert {service.name for service in listed} == SERVICES


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_listed_service_is_described_completely(running: Any, version: str, name: str) -> None:
    """A client can build every file from what it gets."""
    found = ask(running.address, version, file_containing_symbol=name).file_descriptor_response
    pool, pending = descriptor_pool.DescriptorPool(), [*found.file_descriptor_proto]
    files = {file.name: file for file in map(FileDescriptorProto.FromString, pending)}
    while missing := {name for file in files.values() for name in file.dependency} - files.keys():
        more = ask(running.address, version, file_by_filename=missing.pop()).file_descriptor_response
        files |= {file.name: file for file in map(FileDescriptorProto.FromString, more.file_descriptor_proto)}
    while files:
        ready = [one for one in files.values() if not set(one.dependency) & files.keys()]
        for file in ready:
            pool.AddSerializedFile(files.pop(file.name).SerializeToString())

    service = pool.FindServiceByName(name)
    assert service.methods
    if name == "compressor.v1.CompressorService":
        expected = compressor_pb2.DESCRIPTOR.services_by_name["CompressorService"]
        assert [one.name for one in service.methods] == [one.name for one in expected.methods]
    if "reflection" in name:
        package = name.rpartition(".")[0]
        (method,) = service.methods
        assert method.input_type.full_name == f"{package}.ServerReflectionRequest"
        assert [field.number for field in method.input_type.fields] == [1, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "mode, without_token, with_token",
    [
        (None, "UNAUTHENTICATED", "OK"),
        ("token", "UNAUTHENTICATED", "OK"),
        ("on", "OK", "OK"),
        ("off", "UNIMPLEMENTED", "UNIMPLEMENTED"),
    ],
)
def test_with_tokens_reflection_needs_one_unless_it_is_on(
    tokens: Any, mode: Any, without_token: str, with_token: str
) -> None:
    with Running(fake_codec(), token_file=tokens, reflection=mode) as running:
        for version in VERSIONS:
            assert code_of(running.address, version) == without_token
            assert code_of(running.address, version, BEARER) == with_token
        assert health(running.address)


def test_without_tokens_reflection_can_be_switched_off() -> None:
    with Running(fake_codec(), reflection="off") as running:
        assert [code_of(running.address, version) for version in VERSIONS] == ["UNIMPLEMENTED"] * 2


@pytest.mark.parametrize("mode", ["token", "maybe"])
def test_a_mode_that_can_not_be_is_refused(mode: Any) -> None:
    with pytest.raises(SettingsError, match="reflection"):
        ServerConfig(reflection=mode)


def test_no_file_is_added_to_the_pool_of_the_process(running: Any) -> None:
    """Another library may bring its own file of grpc.reflection.v1."""
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindServiceByName("grpc.reflection.v1.ServerReflection")
