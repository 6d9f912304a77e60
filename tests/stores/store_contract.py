"""What every store must do, as tests; each kind of store brings the fixture `store` and says what it can't."""

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from compressor.stores.contract import CHUNK_BYTES, Attributes, Entry, Precondition, Store, StoreError, StoreErrorKind

Rival = Callable[[str, bytes], object]
Leftovers = Callable[[], list[str]]
NOTHING = Attributes()
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


class Bytes:
    """A body that is there already."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, self.size, CHUNK_BYTES):
            yield self.data[at : at + CHUNK_BYTES]


class Meddled(Bytes):
    """A body during which, the first time, something else happens."""

    def __init__(self, data: bytes, meddle: object) -> None:
        super().__init__(data)
        self.meddle = meddle

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            meddle, self.meddle = self.meddle, None
            if callable(meddle):
                meddle()
            yield chunk


class Broken(Bytes):
    """A body that ends in an error, always."""

    def chunks(self) -> Iterator[bytes]:
        yield from list(super().chunks())[:-1]
        raise OSError("the disk is gone")


def read(store: Store, key: str) -> bytes:
    with store.open(key) as opened:
        data = b"".join(opened.chunks())
        assert len(data) == opened.entry.size
        return data


def trouble(call: object, *arguments: object) -> StoreErrorKind:
    assert callable(call)
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.kind


def noise(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


def keys(store: Store) -> list[str]:
    return [entry.key for entry in store.entries()]


class StoreContract:
    """Needs fixtures: `store`, empty; `rival`, another program that writes; `leftovers`, what is there but not listed.

    attributes  what such a store carries
    """

    keys: tuple[str, ...] = (*PLAIN_KEYS, *ODD_KEYS)
    attributes = NOTHING

    def write(self, store: Store, key: str, data: bytes, only: Precondition | None = None) -> Entry:
        return store.write(key, Bytes(data), NOTHING, only)

    @pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 << 20])
    def test_what_was_written_is_read(self, store: Store, size: int) -> None:
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

    def test_attributes_are_carried(self, store: Store) -> None:
        store.write("a", Bytes(b"one"), self.attributes, None)
        with store.open("a") as opened:
            first = opened.attributes
        store.write("a", Bytes(b"other"), first, Precondition(opened.entry.etag))
        with store.open("a") as opened:
            second = opened.attributes

        for field in ("headers", "metadata", "tags", "storage_class", "lost", "local"):
            assert getattr(second, field) == getattr(self.attributes, field), field
        assert second == first

    def test_keys_of_all_kinds_are_listed_in_the_order_of_their_bytes(self, store: Store) -> None:
        ordered = sorted(self.keys, key=os.fsencode)
        for key in reversed(ordered):
            # In a folder there can't be a file "a" and a folder "a".
            if trouble_of_write(store, key) is not None:
                ordered.remove(key)
        assert len(ordered) >= len(self.keys) - 1

        assert keys(store) == ordered
        for key in ordered:
            assert read(store, key) == os.fsencode(key)

    def test_what_is_missing_is_said_to_be(self, store: Store) -> None:
        assert trouble(store.open, "no/such") is StoreErrorKind.MISSING
        assert store.head("no/such") is None
        assert trouble(self.write, store, "no/such", b"x", Precondition("etag")) is StoreErrorKind.MISSING
        assert trouble(store.copy, "no/such", "etag", "elsewhere") is StoreErrorKind.MISSING
        assert list(store.entries()) == []
        store.delete("no/such", "etag")

    def test_nothing_is_written_over_what_was_not_expected(self, store: Store) -> None:
        entry = self.write(store, "a", b"first")

        assert trouble(self.write, store, "a", b"second", Precondition(None)) is StoreErrorKind.EXISTS
        assert (store.head("a"), read(store, "a")) == (entry, b"first")

    def test_nothing_but_what_was_read_is_replaced(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        second = self.write(store, "a", b"second", Precondition(first.etag))

        assert second.etag != first.etag
        assert trouble(self.write, store, "a", b"third", Precondition(first.etag)) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"second"

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_who_writes_meanwhile_wins(self, store: Store, rival: Rival, leftovers: Leftovers, size: int) -> None:
        first = self.write(store, "a", b"first")
        body = Meddled(noise(size), lambda: rival("a", b"theirs"))

        assert trouble(store.write, "a", body, NOTHING, Precondition(first.etag)) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"theirs"
        body = Meddled(noise(size), lambda: rival("b", b"theirs"))
        assert trouble(store.write, "b", body, NOTHING, Precondition(None)) is StoreErrorKind.EXISTS
        assert read(store, "b") == b"theirs"
        assert leftovers() == []

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_who_deletes_meanwhile_wins(self, store: Store, size: int) -> None:
        first = self.write(store, "a", b"first")
        body = Meddled(noise(size), lambda: store.delete("a", first.etag))

        assert trouble(store.write, "a", body, NOTHING, Precondition(first.etag)) is StoreErrorKind.MISSING
        assert store.head("a") is None

    @pytest.mark.parametrize("size", [100, 7 << 20], ids=["one request", "in parts"])
    def test_a_body_that_fails_leaves_nothing(self, store: Store, leftovers: Leftovers, size: int) -> None:
        first = self.write(store, "a", b"first")

        for key, only in (("a", Precondition(first.etag)), ("a", None), ("b", Precondition(None))):
            with pytest.raises((StoreError, OSError)):
                store.write(key, Broken(noise(size)), NOTHING, only)

        assert list(store.entries()) == [first]
        assert leftovers() == []

    @pytest.mark.parametrize("size", [9 << 20])
    def test_a_large_one_is_replaced_too(self, store: Store, leftovers: Leftovers, size: int) -> None:
        first = store.write("a", Bytes(noise(size)), self.attributes, Precondition(None))
        with store.open("a") as opened:
            assert opened.attributes == self.attributes
        second = store.write("a", Bytes(noise(size - 1)), opened.attributes, Precondition(first.etag))
        third = store.write("a", Bytes(noise(size - 2)), opened.attributes, None)

        assert len({first.etag, second.etag, third.etag}) == 3
        with store.open("a") as opened:
            assert opened.attributes == self.attributes
            assert b"".join(opened.chunks()) == noise(size - 2)
        assert list(store.entries()) == [third]
        assert leftovers() == []

    def test_a_copy_has_all_of_its_original(self, store: Store) -> None:
        first = store.write("a", Bytes(b"first"), self.attributes, None)

        copy = store.copy("a", first.etag, "kept/a")

        assert store.head("a") == first
        assert (copy.key, copy.size) == ("kept/a", 5)
        with store.open("kept/a") as opened:
            assert opened.entry == copy
            assert b"".join(opened.chunks()) == b"first"
            assert opened.attributes == self.attributes

    def test_a_copy_is_of_what_was_read_and_to_where_nothing_is(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        kept = store.copy("a", first.etag, "kept/a")
        second = self.write(store, "a", b"second")

        assert trouble(store.copy, "a", first.etag, "kept/b") is StoreErrorKind.CHANGED
        assert trouble(store.copy, "a", second.etag, "kept/a") is StoreErrorKind.EXISTS
        assert list(store.entries()) == [second, kept]
        assert read(store, "kept/a") == b"first"

    def test_only_what_was_expected_is_deleted(self, store: Store) -> None:
        first = self.write(store, "a", b"first")
        second = self.write(store, "a", b"second")

        assert trouble(store.delete, "a", first.etag) is StoreErrorKind.CHANGED
        assert read(store, "a") == b"second"
        store.delete("a", second.etag)
        store.delete("a", second.etag)
        assert store.head("a") is None

    def test_many_threads_share_a_store(self, store: Store) -> None:
        def one(number: int) -> bool:
            entry = self.write(store, f"{number:02}", noise(1000 + number), Precondition(None))
            self.write(store, f"{number:02}", noise(2000 + number), Precondition(entry.etag))
            return read(store, f"{number:02}") == noise(2000 + number)

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(one, range(32)))
        assert keys(store) == [f"{number:02}" for number in range(32)]

    def test_to_tidy_up_where_nothing_was_left_changes_nothing(self, store: Store) -> None:
        entry = self.write(store, "folder/a", b"first")

        for key in ("folder/a", "folder/b", "nowhere/c"):
            store.clean_up(key)

        assert list(store.entries()) == [entry] and read(store, "folder/a") == b"first"

    def test_one_of_many_replaces(self, store: Store) -> None:
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


def trouble_of_write(store: Store, key: str) -> StoreErrorKind | None:
    try:
        store.write(key, Bytes(os.fsencode(key)), NOTHING, Precondition(None))
    except StoreError as error:
        return error.kind
    return None
