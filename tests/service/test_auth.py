"""Bearer tokens through a real channel: who is admitted, and as which tenant."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from compressor.client import Client, health
from compressor.errors import CallError
from compressor.service import reload
from compressor.service.auth import TokenInterceptor
from compressor.service.tenants import Tenants, current_tenant, line_of
from compressor.v1 import compressor_pb2 as pb
from compressor.v1 import compressor_pb2_grpc as rpc
from tests.service.fake_pipeline import fake_codec
from tests.service.running import Running, eventually

TOKENS = {"first": "shop", "second": "shop", "third": "reports"}


def write_tokens(path: Path, tokens: dict[str, str]) -> None:
    path.write_text("".join(f"{line_of(name, token)}\n" for token, name in tokens.items()))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a server that knows three tokens."""
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    write_tokens(path, TOKENS)
    with Running(fake_codec(), token_file=str(path)) as running:
        yield running


def code_of(running: Running, *authorization: str) -> str:
    """Return the status of a call with these `authorization` fields."""
    parts = pb.RequestParts(settings=pb.Settings(), chunk=b"FAKEhalf", finish=pb.Finish(total_bytes=8))
    with grpc.insecure_channel(running.address) as channel:
        inspect: Any = rpc.CompressorServiceStub(channel).Inspect
        try:
            metadata = [("authorization", value) for value in authorization]
            inspect(iter([pb.InspectRequest(parts=parts)]), metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            failed: Any = error
            return str(failed.code().name)
    return "OK"


@pytest.mark.parametrize(
    "authorization, expected",
    [
        (["Bearer first"], "OK"),
        (["bearer second"], "OK"),
        (["BEARER third"], "OK"),
        (["Bearer  first"], "OK"),
        (["Basic Zmlyc3Q=", "Bearer first"], "OK"),
        (["Bearer wrong", "Bearer first"], "OK"),
        (["Bearer first", "Bearer second"], "OK"),  # of one tenant
        (["Bearer first", "Bearer third"], "UNAUTHENTICATED"),  # of two
        ([], "UNAUTHENTICATED"),
        ([""], "UNAUTHENTICATED"),
        (["first"], "UNAUTHENTICATED"),
        (["Bearer"], "UNAUTHENTICATED"),
        (["Bearerfirst"], "UNAUTHENTICATED"),
        (["Bearer first second"], "UNAUTHENTICATED"),
        (["Token first"], "UNAUTHENTICATED"),
        (["Bearer First"], "UNAUTHENTICATED"),
        (["Bearer firs"], "UNAUTHENTICATED"),
        (["Bearer shop"], "UNAUTHENTICATED"),
        ([line_of("Bearer", "first")], "UNAUTHENTICATED"),  # a hash is no token
    ],
    ids=str,
)
def test_a_call_needs_a_known_token_of_the_bearer_scheme(running: Any, authorization: Any, expected: str) -> None:
    assert code_of(running, *authorization) == expected


def test_rejected_calls_are_counted_and_probes_need_no_token(running: Any) -> None:
    def rejected() -> float:
        families = text_string_to_metric_families(running.scrape())
        samples = [sample for family in families for sample in family.samples]
        return sum(one.value for one in samples if one.labels.get("reason") == "unauthenticated")

    before = rejected()
    for wrong in (None, "wrong"):
        with Client(running.address, token=wrong) as client:
            for verb in (client.compress, client.inspect, client.unarchive):
                with pytest.raises(CallError) as caught:
                    verb(b"FAKEhalf")
                assert caught.value.code == "UNAUTHENTICATED"
    assert rejected() == before + 6
    assert health(running.address)


async def test_the_handler_finds_the_tenant_of_its_call_and_of_no_other(tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens", TOKENS)
    tenants = Tenants(str(tmp_path / "tokens"))
    tenants.load()

    async def name(request: Any, context: Any) -> AsyncIterator[bytes]:
        yield str(current_tenant.get()).encode()

    async def open_name(request: Any, context: Any) -> bytes:
        return str(current_tenant.get()).encode()

    methods: dict[str, Any] = {
        "Name": grpc.unary_stream_rpc_method_handler(name),
        "Open": grpc.unary_unary_rpc_method_handler(open_name),
    }
    server = grpc.aio.server(interceptors=[TokenInterceptor(tenants, ("/a.B/Open",), lambda method, context: None)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("a.B", methods)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        named: Any = channel.unary_stream("/a.B/Name")
        opened: Any = channel.unary_unary("/a.B/Open")
        for token, tenant in [*TOKENS.items()] * 2:
            metadata = [("authorization", f"Bearer {token}")]
            assert [part async for part in named(b"", metadata=metadata)] == [f"Tenant({tenant!r})".encode()]
            assert await opened(b"", metadata=metadata) == b"None"
    await server.stop(None)


def test_a_revoked_token_ends_at_its_next_call_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "POLL_SECONDS", 0.05)
    path = tmp_path / "tokens"
    write_tokens(path, {"old": "shop"})
    with Running(fake_codec(), token_file=str(path)) as running:
        with Client(running.address, token="old") as client, client.stream(iter([b"FAKEhalf", bytes(100)])) as stream:
            assert stream.source.format == "fake"
            write_tokens(path, {"old": "shop", "new": "shop"})
            assert eventually(lambda: code_of(running, "Bearer new") == "OK")
            assert code_of(running, "Bearer old") == "OK", "both are valid while clients change over"
            write_tokens(path, {"new": "shop"})
            assert eventually(lambda: code_of(running, "Bearer old") == "UNAUTHENTICATED")
            list(stream)
            assert stream.report.bytes_in == 108
            with pytest.raises(CallError, match="UNAUTHENTICATED"):
                client.compress(b"FAKEhalf")
        assert code_of(running, "Bearer new") == "OK"
