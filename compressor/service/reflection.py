"""Server reflection, with which clients ask for the services of a port: grpc.reflection.v1, and v1alpha for older ones.

grpcio-reflection has v1alpha alone. The messages of v1 are the same, under another package.
"""

from collections.abc import Sequence

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

ALPHA, V1 = "grpc.reflection.v1alpha", "grpc.reflection.v1"


def add_reflection(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Serve the descriptions of some services, and of reflection itself."""
    service, method = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].name, "ServerReflectionInfo"
    names = [*services, f"{V1}.{service}", f"{ALPHA}.{service}"]
    handler = grpc.stream_stream_rpc_method_handler(
        reflection.aio.ReflectionServicer(names, _descriptions(services)).ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(f"{package}.{service}", {method: handler}) for package in (V1, ALPHA)]
    )


def _descriptions(services: Sequence[str]) -> DescriptorPool:
    """Return the files of some services, of reflection v1alpha, and one of v1 that is made from it.

    A pool of its own, since another library may add the file of v1 to the default one.
    """
    pool = DescriptorPool()
    added = set[str]()

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        if file.name not in added:
            added.add(file.name)
            pool.AddSerializedFile(file.serialized_pb)

    for name in services:
        add(Default().FindServiceByName(name).file)
    add(reflection_pb2.DESCRIPTOR)
    pool.AddSerializedFile(_file_of_v1().SerializeToString())
    return pool


def _file_of_v1() -> FileDescriptorProto:
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", V1
    for message in file.message_type:
        for field in message.field:
            if field.type_name:  # it names a message
                field.type_name = field.type_name.replace(f".{ALPHA}.", f".{V1}.")
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(f".{ALPHA}.", f".{V1}.")
            method.output_type = method.output_type.replace(f".{ALPHA}.", f".{V1}.")
    return file
