"""Attempts and targets apart from calls: pauses, the errors of a status, and which server gets the next attempt."""

import itertools
import math
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from compressor.client import Client, transfer
from compressor.client.addresses import AVOIDED_SECONDS, Rotation, targets_of
from compressor.client.retries import Attempts
from compressor.errors import BusyError, CallError, SettingsError


def test_targets_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    milliseconds = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: 100 + next(milliseconds) / 1000)
    rotation = Rotation(3)
    assert [rotation.take() for _ in range(4)] == [0, 1, 2, 0]
    rotation.lost(1)
    assert [rotation.take() for _ in range(3)] == [2, 0, 2]
    rotation.lost(0)
    rotation.lost(2)
    assert rotation.take() == 1, "all are avoided: the one that failed first"
    assert not rotation.may_succeed(), "no target has answered, and none is left to try"
    rotation.answered(2)
    assert rotation.take() == 2
    rotation.lost(2)
    assert rotation.may_succeed()


def test_a_target_is_tried_again_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    rotation = Rotation(2)
    rotation.lost(0)
    assert {rotation.take() for _ in range(4)} == {1}
    now += AVOIDED_SECONDS
    assert {rotation.take() for _ in range(4)} == {0, 1}


def test_pauses_grow_with_full_jitter_and_stop_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def smallest(low: float, high: float) -> float:
        assert low == 0
        limits.append(high)
        return low

    monkeypatch.setattr("random.uniform", smallest)
    error = CallError("UNAVAILABLE", "Connection refused")

    attempts = Attempts(None, 5, Rotation(1))
    for _ in range(5):
        attempts.target()
        attempts.failed(error)
        attempts.pause(error, replayable=True)
    with pytest.raises(CallError):
        attempts.pause(error, replayable=True)
    assert limits == pytest.approx([0.1, 0.4, 1.6, 5, 5])

    monkeypatch.undo()
    with pytest.raises(BusyError):
        Attempts(1, 5, Rotation(1)).pause(BusyError("full", 1), replayable=True)


def test_the_retry_info_of_a_proxy_is_taken_like_that_of_the_service() -> None:
    """It has no Failure, which the service adds."""
    found = transfer.error_of(busy(retry_info(nanos=250_000_000)))

    assert isinstance(found, BusyError)
    assert found.retry_after_seconds == 0.25


@pytest.mark.parametrize("seconds", [-1, 601, 1 << 62])
def test_a_pause_that_makes_no_sense_is_not_made(seconds: int) -> None:
    found = transfer.error_of(busy(retry_info(seconds=seconds)))

    assert isinstance(found, BusyError)
    with pytest.raises(BusyError, match="^busy$"):
        Attempts(None, 5, Rotation(1)).pause(found, replayable=True)
    with pytest.raises(BusyError, match="^full$"):
        Attempts(None, 5, Rotation(1)).pause(BusyError("full", math.nan), replayable=True)


def test_a_pause_of_ten_minutes_is_the_longest() -> None:
    assert Attempts(None, 5, Rotation(1)).pause(BusyError("full", 600), replayable=True) >= 600


@pytest.mark.parametrize("what", ["status", "detail"])
def test_details_of_a_status_that_can_not_be_parsed_are_ignored(what: str) -> None:
    broken = any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")
    details = status_pb2.Status(details=[broken]).SerializeToString() if what == "detail" else b"\xff\xff"

    found = transfer.error_of(busy(details))

    assert isinstance(found, CallError)
    assert str(found) == "UNAVAILABLE: busy"


def retry_info(**delay: int) -> bytes:
    """Return the details of a status with a RetryInfo."""
    retry = any_pb2.Any()
    retry.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(**delay)))
    data: bytes = status_pb2.Status(code=14, message="busy", details=[retry]).SerializeToString()
    return data


def busy(details: bytes) -> grpc.aio.AioRpcError:
    metadata = grpc.aio.Metadata(("grpc-status-details-bin", details))
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), metadata, details="busy")


@pytest.mark.parametrize(
    ("address", "targets"),
    [
        ("a:1", ["a:1"]),
        ("a:1, b:2", ["a:1", "b:2"]),
        (["a:1", "dns:///b:2"], ["a:1", "dns:///b:2"]),
        ("ipv4:10.0.0.1:1,10.0.0.2:1", ["ipv4:10.0.0.1:1,10.0.0.2:1"]),
        ("[::1]:1,[::2]:1", ["[::1]:1", "[::2]:1"]),
    ],
)
def test_addresses_are_targets(address: Any, targets: list[str]) -> None:
    assert targets_of(address) == targets


@pytest.mark.parametrize("address", ["", "a:1,", [], ["a:1", ""]])
def test_an_empty_address_is_refused(address: Any) -> None:
    with pytest.raises(SettingsError, match="address: is empty"):
        Client(address)
