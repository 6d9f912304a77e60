"""The byte stream against a bytes object and an offset."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.bytestream import ByteStream

CHUNKS = st.lists(st.binary(max_size=7), max_size=8)
STEPS = st.lists(st.tuples(st.sampled_from(["peek", "read", "read_some"]), st.integers(1, 12)), max_size=12)


@given(CHUNKS, STEPS)
def test_any_calls_over_any_chunks_read_the_same_bytes(chunks: list[bytes], steps: list[tuple[str, int]]) -> None:
    data, at, copied = b"".join(chunks), 0, bytearray()
    stream = ByteStream(chunks, copied.extend)
    for step, count in steps:
        taken = getattr(stream, step)(count)
        if step == "read_some":
            assert taken == data[at : at + len(taken)]
            assert len(taken) <= count and (taken or at == len(data))
        else:
            assert taken == data[at : at + count]
        at += 0 if step == "peek" else len(taken)
        assert stream.offset == at
        assert data[: stream.size] == copied
    assert b"".join(stream.drain()) == data[at:]
    assert stream.offset == stream.size == len(data)
    assert copied == data


@given(CHUNKS)
def test_drain_yields_all_bytes_and_no_empty_chunk(chunks: list[bytes]) -> None:
    stream = ByteStream(chunks)

    assert list(stream.drain()) == [chunk for chunk in chunks if chunk]
    assert stream.peek(1) == stream.read(1) == stream.read_some(1) == b""


def test_chunks_are_pulled_only_when_they_are_needed() -> None:
    pulled = []

    def source() -> Iterator[bytes]:
        for chunk in (b"abc", b"def", b"ghi"):
            pulled.append(chunk)
            yield chunk

    stream = ByteStream(source())
    assert pulled == []
    assert stream.read(3) == b"abc"
    assert pulled == [b"abc"]
    assert stream.peek(1) == b"d"
    assert stream.read_some(10) == b"def"
    assert pulled == [b"abc", b"def"]
    assert stream.size == 6


def test_an_error_of_the_source_propagates_and_loses_nothing() -> None:
    def source() -> Iterator[bytes]:
        yield b"abc"
        raise ConnectionError("gone")

    stream = ByteStream(source())
    with pytest.raises(ConnectionError, match="gone"):
        stream.read(4)
    assert stream.offset == 0
    assert stream.read(3) == b"abc"


def test_large_chunks_are_drained_in_parts() -> None:
    parts = list(ByteStream([bytes(600_000)]).drain())

    assert [len(part) for part in parts] == [1 << 18, 1 << 18, 600_000 - (1 << 19)]


def test_reading_nothing_pulls_nothing() -> None:
    stream = ByteStream([b"abc"])

    assert stream.read(0) == stream.peek(0) == b""
    assert stream.size == 0
