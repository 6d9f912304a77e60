"""Tests that every kind of store must pass; each provides the fixture `store` and names what it does not support."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from compressor.stores.contract import CHUNK_BYTES, Attributes, Entry, Precondition, Store, StoreError, StoreErrorKind

Rival = Callable[[str, bytes], object]
Leftovers = Callable[[], list[str]]
NO_ATTRIBUTES = Attributes()
PLAIN_KEYS = (
    "a",
    "a b",
    "a!b/c",
    "a%20b",
    "a+b",
    "a.b",
    "a/b",
    "b/c/d.jpg",
    "z/" + "n" * 200,
    "é",
    "日本/語.png",
    "😀",
)
ODD_KEYS = ("\t", "\n", "a\nb", "c\\d", "q?x#y&z=1", "'\"<>")
SLASHED_KEYS = ("../up", "a//b", "b/../c", "./d", "e/.")


class BytesBody:
    """A body in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, self.size, CHUNK_BYTES):
            yield self.data[at : at + CHUNK_BYTES]


class MeddlingBody(BytesBody):
    """A body that calls `action` before the first chunk, once."""

    def __init__(self, data: bytes, action: Callable[[], object]) -> None:
        super().__init__(data)
        self.action: Callable[[], object] | None = action

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            action, self.action = self.action, None
            if action is not None:
                action()
            yield chunk


class FailingBody(BytesBody):
    """A body that always ends in an error."""

    def chunks(self) -> Iterator[bytes]:
        yield from list(super().chunks())[:-1]
        raise OSError("the disk is gone")


def read(store: Store, key: str) -> bytes:
    with store.open(key) as opened:
        data = b"".join(opened.chunks())
        assert len(data) == opened.entry.size
        return data


def refusal(call: Callable[..., object], *arguments: object) -> StoreErrorKind:
    """Return the kind of the StoreError that a call raises."""
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.kind


def noise(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


def keys(store: Store) -> list[str]:
    return [entry.key for entry in store.entries()]


class StoreContract:
    """The tests. They need the fixtures `store`, empty; `rival`, another program that writes; and `leftovers`, the keys
    that exist but are not listed.

    attributes  all that such a store can keep
    """

    keys: tuple[str, ...] = (*PLAIN_KEYS, *ODD_KEYS)
    attributes = NO_ATTRIBUTES

    def write(self, store: Store, key: str, data: bytes, condition: Precondition | None = None) -> Entry:
        return store.write(key, BytesBody(data), NO_ATTRIBUTES, condition)

    @pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 << 20])
    def test_a_written_object_is_read_back(self, store: Store, size: int) -> None:
        data = noise(size)

        entry = self.write(store, "folder/a picture.jpg", data, Precondition(None))

        with store.open("folder/a picture.jpg") as opened:
            chunks = list(opened.chunks())
            assert (opened.entry, opened.held) == (entry, "")
        assert max(map(len, chunks), default=0) <= CHUNK_BYTES
        assert b"".join(chunks) == data
        assert (entry.key, entry.size) == ("folder/a picture.jpg", size)
        assert entry.etag
        assert store.head("folder/a picture.jpg") == entry
        assert list(store.entries()) == [entry]

    def test_attributes_are_kept(self, store: Store) -> None:
        store.write("a", BytesBody(b"one"), self.attributes, None)
        with store.open("a") as opened:
            first = opened.attributes
        store.write("a", BytesBody(b"other"), first, Precondition(opened.entry.etag))
        with store.open("a") as opened:
            second = opened.attributes

        for field in ("headers", "metadata", "tags", "storage_class", "lost", "local"):
            assert getattr(second, field) == getattr(self.attributes, field), field
        assert second == first

    def test_all_kinds_of_keys_are_listed_in_byte_order(self, store: Store) -> None:
        ordered = sorted(self.keys, key=os.fsencode)
        for key in reversed(ordered):
            # In a folder there can't be a file "a" and a folder "a".
            if write_error(store, key) is not None:
                ordered.remove(key)
        assert len(ordered) >= len(self.keys) - 1

        assert keys(store) == ordered
        for key in ordered:
            assert read(store, key) == os.fsencode(key)

    def test_a_missing_object_is_reported(self, store: Store) -> None:
        assert refusal(store.open, "no/such") is StoreErrorKind.MISSING
        assert store.head("no/such") is None
        assert refusal(self.write, store, "no/such", b"x", Precondition("etag")) is StoreErrorKind.MISSING
        assert refusal(store.copy, "no/such", "etag", "elsewhere") is StoreErrorKind.MISSING
        assert list(store.entries()) == []
        store.delete("no/such", "etag")

    def test_an_unexpected_object_is_not_overwritten(self, store: Store) -> None:
        entry = self.write(store, "a", b"first")

        assert refusal(self.write, store, "a", b"second", Precondition(None)) is StoreErrorKind.EXISTS
        assert (store.head("a"), read(store, "a")) == (entry, b"first")

    def test_only_the_content_that_was_read_is_replaced(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        second = self.write(store, "a", b"second", Precondition(first.etag))

        assert second.etag != first.etag
        assert refusal(self.write, store, "a", b"third", Precondition(first.etag)) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"second"

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_a_concurrent_write_wins(self, store: Store, rival: Rival, leftovers: Leftovers, size: int) -> None:
        first = self.write(store, "a", b"first")
        body = MeddlingBody(noise(size), lambda: rival("a", b"theirs"))

        assert refusal(store.write, "a", body, NO_ATTRIBUTES, Precondition(first.etag)) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"theirs"
        body = MeddlingBody(noise(size), lambda: rival("b", b"theirs"))
        assert refusal(store.write, "b", body, NO_ATTRIBUTES, Precondition(None)) is StoreErrorKind.EXISTS
        assert read(store, "b") == b"theirs"
        assert leftovers() == []

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_a_concurrent_delete_wins(self, store: Store, size: int) -> None:
        first = self.write(store, "a", b"first")
        body = MeddlingBody(noise(size), lambda: store.delete("a", first.etag))

        assert refusal(store.write, "a", body, NO_ATTRIBUTES, Precondition(first.etag)) is StoreErrorKind.MISSING
        assert store.head("a") is None

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_a_body_that_fails_leaves_nothing(self, store: Store, leftovers: Leftovers, size: int) -> None:
        first = self.write(store, "a", b"first")

        for key, condition in (("a", Precondition(first.etag)), ("a", None), ("b", Precondition(None))):
            with pytest.raises((StoreError, OSError)):
                store.write(key, FailingBody(noise(size)), NO_ATTRIBUTES, condition)

        assert list(store.entries()) == [first]
        assert leftovers() == []

    @pytest.mark.parametrize("size", [9 << 20])
    def test_a_large_object_is_replaced(self, store: Store, leftovers: Leftovers, size: int) -> None:
        first = store.write("a", BytesBody(noise(size)), self.attributes, Precondition(None))
        with store.open("a") as opened:
            assert opened.attributes == self.attributes
        second = store.write("a", BytesBody(noise(size - 1)), opened.attributes, Precondition(first.etag))
        third = store.write("a", BytesBody(noise(size - 2)), opened.attributes, None)

        assert len({first.etag, second.etag, third.etag}) == 3
        with store.open("a") as opened:
            assert opened.attributes == self.attributes
            assert b"".join(opened.chunks()) == noise(size - 2)
        assert list(store.entries()) == [third]
        assert leftovers() == []

    def test_a_copy_equals_its_original(self, store: Store) -> None:
        first = store.write("a", BytesBody(b"first"), self.attributes, None)

        copy = store.copy("a", first.etag, "kept/a")

        assert store.head("a") == first
        assert (copy.key, copy.size) == ("kept/a", 5)
        with store.open("kept/a") as opened:
            assert opened.entry == copy
            assert b"".join(opened.chunks()) == b"first"
            assert opened.attributes == self.attributes

    def test_a_copy_needs_the_content_that_was_read_and_a_new_key(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        kept = store.copy("a", first.etag, "kept/a")
        second = self.write(store, "a", b"second")

        assert refusal(store.copy, "a", first.etag, "kept/b") is StoreErrorKind.CHANGED
        assert refusal(store.copy, "a", second.etag, "kept/a") is StoreErrorKind.EXISTS
        assert list(store.entries()) == [second, kept]
        assert read(store, "kept/a") == b"first"

    def test_only_the_expected_content_is_deleted(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        second = self.write(store, "a", b"second")

        assert refusal(store.delete, "a", first.etag) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"second"
        store.delete("a", second.etag)
        store.delete("a", second.etag)
        assert store.head("a") is None

    def test_a_successor_gets_a_key_that_does_not_exist_and_the_attributes_that_are_given(self, store: Store) -> None:
        first = store.write("a", BytesBody(b"first"), self.attributes, None)

        successor = store.write_successor("b/c", BytesBody(b"second"), self.attributes, "a")

        assert list(store.entries()) == [first, successor]
        with store.open("b/c") as opened:
            assert b"".join(opened.chunks()) == b"second" and opened.attributes == self.attributes
        taken = (store.write_successor, "a", BytesBody(b"third"), NO_ATTRIBUTES, "b/c")
        assert refusal(*taken) is StoreErrorKind.EXISTS
        assert list(store.entries()) == [first, successor]

    def test_many_threads_share_a_store(self, store: Store) -> None:
        def one(number: int) -> bool:
            entry = self.write(store, f"{number:02}", noise(1000 + number), Precondition(None))
            self.write(store, f"{number:02}", noise(2000 + number), Precondition(entry.etag))
            return read(store, f"{number:02}") == noise(2000 + number)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(one, range(32)))
        assert keys(store) == [f"{number:02}" for number in range(32)]

    def test_clean_up_without_leftovers_changes_nothing(self, store: Store) -> None:
        entry = self.write(store, "folder/a", b"first")

        for key in ("folder/a", "folder/b", "nowhere/c"):
            store.clean_up(key)

        assert list(store.entries()) == [entry] and read(store, "folder/a") == b"first"

    def test_one_of_many_concurrent_replacements_succeeds(self, store: Store) -> None:
        first = self.write(store, "a", b"first")

        def one(number: int) -> int | None:
            with suppress(StoreError):
                self.write(store, "a", b"by %d" % number, Precondition(first.etag))
                return number
            return None

        with ThreadPoolExecutor(8) as pool:
            done = [number for number in pool.map(one, range(8)) if number is not None]
        assert len(done) == 1
        assert read(store, "a") == b"by %d" % done[0]


def write_error(store: Store, key: str) -> StoreErrorKind | None:
    try:
        store.write(key, BytesBody(os.fsencode(key)), NO_ATTRIBUTES, Precondition(None))
    except StoreError as error:
        return error.kind
    return None
