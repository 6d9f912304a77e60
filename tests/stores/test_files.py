"""Folders as stores."""

import os
import socket
import stat
from pathlib import Path

import pytest

from compressor.stores import file_write
from compressor.stores.contract import Attributes, Precondition, Store, StoreError, StoreErrorKind
from compressor.stores.files import Files
from compressor.stores.open import open_store
from tests.stores.store_contract import (
    NO_ATTRIBUTES,
    BytesBody,
    FailingBody,
    Leftovers,
    Rival,
    StoreContract,
    keys,
    noise,
    read,
    refusal,
)

NOW_NS = 1_600_000_000_123_456_789


@pytest.fixture
def store(tmp_path: Path) -> Files:
    (tmp_path / "store").mkdir()
    return Files(str(tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def leftovers(folder: Path) -> Leftovers:
    return lambda: [path.name for path in folder.rglob(".*")]


@pytest.fixture
def rival(folder: Path) -> Rival:
    return lambda key, data: (folder / key).write_bytes(data)


class TestFiles(StoreContract):
    keys = (*StoreContract.keys, "b\udcff\udc80", ".hidden", "n" * 255)
    attributes = Attributes(local=(0o640, os.getuid(), os.getgid(), NOW_NS, (("user.note", b"a\0b"),)))


def test_exchanging_names_is_a_condition_for_any_size(store: Files, folder: Path) -> None:
    assert store.conditional_bytes >= 1 << 62
    assert list(folder.iterdir()) == []


def test_without_exchange_nothing_is_replaced_conditionally(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_write, "_renameat2", None)
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)

    assert store.conditional_bytes == 0
    assert (
        refusal(store.write, "a", BytesBody(b"second"), NO_ATTRIBUTES, Precondition(first.etag, atomic=True))
        is StoreErrorKind.NOT_ATOMIC
    )
    assert read(store, "a") == b"first"
    assert [path.name for path in folder.iterdir()] == ["a"]
    store.write("a", BytesBody(b"second"), NO_ATTRIBUTES, Precondition(first.etag))
    assert read(store, "a") == b"second"


def test_a_store_opened_as_probed_is_not_probed(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    before = tmp_path.stat().st_mtime_ns

    assert Files(str(tmp_path), 64 << 20).conditional_bytes >= 1 << 62
    assert Files(str(tmp_path), 0).conditional_bytes == 0
    assert tmp_path.stat().st_mtime_ns == before


def test_a_file_with_other_hard_links_is_not_replaced_atomically(store: Files, folder: Path) -> None:
    store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    (folder / "b").hardlink_to(folder / "a")
    entry = store.head("a")
    assert entry is not None and entry.links == 2

    assert (
        refusal(store.write, "a", BytesBody(b"second"), NO_ATTRIBUTES, Precondition(entry.etag, atomic=True))
        is StoreErrorKind.NOT_ATOMIC
    )
    assert read(store, "a") == read(store, "b") == b"first"
    assert [path.name for path in folder.rglob(".*")] == []


class TestFilesWithoutExchange(TestFiles):
    """A kernel or file system that can't exchange names."""

    @pytest.fixture(autouse=True)
    def no_exchange(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file_write, "_renameat2", None)


def test_a_url_and_a_path_name_the_same_folder(tmp_path: Path) -> None:
    Files(str(tmp_path)).write("a%b c/x", BytesBody(b"x"), NO_ATTRIBUTES, None)

    assert keys(open_store(f"file://{tmp_path}/a%25b%20c")) == ["x"]
    assert keys(open_store(f"{tmp_path}/a%b c")) == ["x"]
    assert refusal(keys, open_store(f"{tmp_path}/nothing")) is StoreErrorKind.MISSING


@pytest.mark.parametrize("key", ["", "/", "/etc/x", "../x", "a/../../x", "a/..", ".", "a//b", "a/", "a\0b", "\ud800"])
def test_no_key_leads_outside(store: Files, folder: Path, key: str) -> None:
    (folder / "a").mkdir()

    assert refusal(store.write, key, BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    assert refusal(store.open, key) is StoreErrorKind.IMPOSSIBLE
    assert refusal(store.delete, key, "etag") is StoreErrorKind.IMPOSSIBLE
    assert sorted(path.name for path in folder.parent.rglob("*")) == ["a", "store"]


def test_no_link_is_followed_or_listed(store: Files, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "secret")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as plug:
        plug.bind(str(folder / "socket"))

    assert keys(store) == []
    for key in ("link/secret", "link/new", "file", "pipe", "socket"):
        assert refusal(store.open, key) is StoreErrorKind.IMPOSSIBLE
        assert refusal(store.head, key) is StoreErrorKind.IMPOSSIBLE
        assert refusal(store.write, key, BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
        assert refusal(store.delete, key, "etag") is StoreErrorKind.IMPOSSIBLE
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_file_is_not_taken_for_a_folder(store: Files) -> None:
    store.write("a", BytesBody(b"x"), NO_ATTRIBUTES, None)

    assert store.head("a/b") is None
    assert refusal(store.open, "a/b") is StoreErrorKind.MISSING
    assert refusal(store.write, "a/b", BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE


@pytest.mark.parametrize("change", ["bytes", "mode", "name"])
def test_every_change_of_a_file_changes_its_etag(store: Files, folder: Path, change: str) -> None:
    path = folder / "a"
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    state = path.stat()

    if change == "bytes":  # with the same size and modification time
        path.write_bytes(b"FIRST")
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "mode":
        path.chmod(0o600)
    else:
        (folder / "new").write_bytes(b"first")
        os.utime(folder / "new", ns=(state.st_atime_ns, state.st_mtime_ns))
        (folder / "new").rename(path)

    assert refusal(store.write, "a", BytesBody(b"x"), NO_ATTRIBUTES, Precondition(entry.etag)) is StoreErrorKind.CHANGED


def test_a_file_that_changes_while_it_is_read_is_refused(store: Files, folder: Path) -> None:
    store.write("a", BytesBody(noise(1 << 20)), NO_ATTRIBUTES, None)

    with store.open("a") as opened:
        chunks = opened.chunks()
        next(chunks)
        (folder / "a").write_bytes(b"other")
        assert refusal(list, chunks) is StoreErrorKind.CHANGED


def test_readers_keep_the_old_file(store: Files) -> None:
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)

    with store.open("a") as opened:
        store.write("a", BytesBody(b"second"), NO_ATTRIBUTES, Precondition(entry.etag))
        assert opened.entry == entry
        assert os.pread(opened.file, 100, 0) == b"first"


def test_a_body_of_another_size_is_not_written(store: Files, folder: Path) -> None:
    body = BytesBody(b"12345")
    body.size = 6
    body.chunks = lambda: iter([b"12345"])  # type: ignore[method-assign]

    assert refusal(store.write, "a", body, NO_ATTRIBUTES, None) is StoreErrorKind.OTHER
    assert list(folder.iterdir()) == []


def test_a_new_file_has_the_mode_of_new_files(store: Files, folder: Path) -> None:
    (folder / "usual").touch()

    store.write("a", BytesBody(b"x"), NO_ATTRIBUTES, None)

    assert stat.S_IMODE((folder / "a").stat().st_mode) == stat.S_IMODE((folder / "usual").stat().st_mode)


def test_a_copy_does_not_share_later_writes(store: Files, folder: Path) -> None:
    entry = store.write("a", BytesBody(noise(3 << 20)), NO_ATTRIBUTES, None)
    store.copy("a", entry.etag, "kept/a")

    with open(folder / "a", "r+b") as file:
        file.write(b"changed in place")

    assert read(store, "kept/a") == noise(3 << 20)


def test_attributes_that_a_file_cannot_store_are_named(store: Files) -> None:
    attributes = Attributes({"content-type": "image/png"}, {"a": "b"}, {"c": "d", "e": "f"}, "COLD")

    assert store.unsupported_attributes(attributes) == (
        "content-type",
        "1 metadata entries",
        "2 tags",
        "storage class COLD",
    )
    assert store.unsupported_attributes(NO_ATTRIBUTES) == ()


def test_memory_holds_one_folder_at_a_time(store: Store, folder: Path) -> None:
    """Files are examined in batches during a listing: later ones may still change."""
    for name in ("a/1", "b/1", "c/1"):
        store.write(name, BytesBody(b"x"), NO_ATTRIBUTES, None)

    found = store.entries()
    assert next(found).key == "a/1"
    store.write("b/2", BytesBody(b"x"), NO_ATTRIBUTES, None)
    (folder / "c/1").unlink()
    assert [entry.key for entry in found] == ["b/1", "b/2"]


def test_a_failing_body_leaves_the_folder_as_it_was(store: Files, folder: Path) -> None:
    with pytest.raises(Exception, match="the disk is gone"):
        store.write("a", FailingBody(noise(1 << 20)), NO_ATTRIBUTES, None)

    assert list(folder.iterdir()) == []


def test_a_denied_folder_fails_the_listing_or_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal is simulated, since root is never denied access."""
    for name in ("a/1", "private/2", "z/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    list_names = Files._names

    def names(self: Files, base: bytes) -> list[bytes]:
        if base == b"private/":
            raise StoreError(StoreErrorKind.DENIED, "private/: Permission denied")
        return list_names(self, base)

    monkeypatch.setattr(Files, "_names", names)
    denied: list[tuple[str, StoreErrorKind]] = []
    found = list(Files(str(tmp_path)).entries(lambda key, error: denied.append((key, error.kind))))

    assert [entry.key for entry in found] == ["a/1", "z/3"] and denied == [("private/", StoreErrorKind.DENIED)]
    with pytest.raises(StoreError, match="Permission denied"):
        list(Files(str(tmp_path)).entries())
