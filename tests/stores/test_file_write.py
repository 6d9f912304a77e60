"""Concurrent writers of a file, and the leftovers of killed ones."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from compressor.stores import file_write
from compressor.stores.contract import CHUNK_BYTES, Precondition, StoreError, StoreErrorKind
from compressor.stores.file_write import TemporaryFile, lock_name, temporary_name
from compressor.stores.files import Files
from tests import ROOT
from tests.stores.store_contract import NO_ATTRIBUTES, BytesBody, MeddlingBody, keys, noise, read, refusal

Exchange = Callable[[int, bytes, bytes], bool]
OURS, THEIRS = noise(2 * CHUNK_BYTES), noise(3 * CHUNK_BYTES)
KILLED = """
import os, signal, sys
from compressor.stores.contract import Attributes, Precondition
from compressor.stores.files import Files

class Body:
    size = 6
    def chunks(self):
        yield b"second"

folder, left, condition = sys.argv[1], int(sys.argv[2]), None
store = Files(folder)
if sys.argv[3] == "replace":
    condition = Precondition(store.head("a").etag)

def count(event, arguments):
    global left
    if event in ("open", "os.remove", "os.rename", "os.link", "os.utime", "os.chmod", "fcntl.flock"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
if sys.argv[3] == "delete":
    store.delete("a", store.head("a").etag)
else:
    store.write("a", Body(), Attributes(local=(0o600, os.getuid(), os.getgid(), 10**18, ())), condition)
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Files:
    return Files(str(folder))


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class PausingBody(BytesBody):
    """A body that pauses after the first chunk until `resume` is set."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.paused, self.resume = Event(), Event()

    def chunks(self) -> Iterator[bytes]:
        for number, chunk in enumerate(super().chunks()):
            if number:
                self.paused.set()
                self.resume.wait(10)
            yield chunk


def hook_exchange(monkeypatch: pytest.MonkeyPatch, *turns: tuple[Callable[[], object], Callable[[], object]]) -> None:
    """Call (before, after) around each exchange of names, one pair an exchange."""
    exchange: Exchange = file_write.exchange
    waiting = list(turns)

    def watched(at: int, one: bytes, other: bytes) -> bool:
        before, after = waiting.pop(0) if waiting else (nothing, nothing)
        before()
        done = exchange(at, one, other)
        after()
        return done

    monkeypatch.setattr(file_write, "exchange", watched)


def nothing() -> None: ...


@pytest.mark.parametrize("early", [True, False], ids=["before the exchange", "after it"])
def test_no_writer_removes_a_file_that_another_has_exchanged(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """The exchanged file is compared under its temporary name, so it must still exist."""
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    refused: list[StoreErrorKind] = []

    def other() -> None:
        refused.append(refusal(store.write, "a", BytesBody(THEIRS), NO_ATTRIBUTES, None))

    hook_exchange(monkeypatch, (other, nothing) if early else (nothing, other))

    ours = store.write("a", BytesBody(OURS), NO_ATTRIBUTES, Precondition(first.etag))

    assert refused == [StoreErrorKind.UNAVAILABLE]
    assert (store.head("a"), read(store, "a"), names(folder)) == (ours, OURS, ["a"])


def test_no_incomplete_file_replaces_an_object(store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an exchange, a lock on the file with the temporary name would no longer protect that name."""
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    theirs, refused = PausingBody(THEIRS), list[StoreError]()

    def write() -> None:
        try:
            store.write("a", theirs, NO_ATTRIBUTES, None)
        except StoreError as error:
            refused.append(error)
        theirs.paused.set()

    other = Thread(target=write)

    def begin() -> None:
        other.start()
        theirs.paused.wait(10)

    hook_exchange(monkeypatch, (nothing, begin))
    try:
        store.write("a", BytesBody(OURS), NO_ATTRIBUTES, Precondition(first.etag))
        assert read(store, "a") == OURS
    finally:
        theirs.resume.set()
        other.join()

    assert [error.kind for error in refused] == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (OURS, ["a"])


def test_a_write_between_the_last_check_and_the_exchange_wins(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last check is before the exchange; the exchanged file is compared again."""
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    hook_exchange(monkeypatch, (lambda: (folder / "a").write_bytes(b"theirs"), nothing))

    assert (
        refusal(store.write, "a", BytesBody(b"ours"), NO_ATTRIBUTES, Precondition(entry.etag)) is StoreErrorKind.CHANGED
    )
    assert (read(store, "a"), names(folder)) == (b"theirs", ["a"])


@pytest.mark.parametrize("turns", [1, 2, 3, 20])
@pytest.mark.parametrize("renames", [True, False], ids=["renames", "in place"])
def test_the_newest_write_of_another_program_is_kept(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, turns: int, renames: bool
) -> None:
    """It may also write to the new file while that has the target's name."""
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    written: list[bytes] = []

    def other() -> None:
        written.append(b"theirs, no. %d" % len(written))
        (folder / "new").write_bytes(written[-1])
        if renames:
            (folder / "new").rename(folder / "a")
        else:
            (folder / "new").unlink()
            (folder / "a").write_bytes(written[-1])

    hook_exchange(monkeypatch, *[(other, nothing)] * turns)

    assert (
        refusal(store.write, "a", BytesBody(b"ours"), NO_ATTRIBUTES, Precondition(entry.etag)) is StoreErrorKind.CHANGED
    )
    assert len(written) == min(turns, file_write.TRIES)
    assert (read(store, "a"), names(folder)) == (written[-1], ["a"])


def test_deleting_the_exchanged_file_wins(store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    hook_exchange(monkeypatch, (lambda: (folder / "a").write_bytes(b"theirs"), (folder / "a").unlink))

    assert (
        refusal(store.write, "a", BytesBody(b"ours"), NO_ATTRIBUTES, Precondition(entry.etag)) is StoreErrorKind.MISSING
    )
    assert names(folder) == []


def test_a_key_that_is_being_written_is_unavailable(store: Files, folder: Path) -> None:
    body = MeddlingBody(
        b"ours", lambda: problems.append(refusal(store.write, "a", BytesBody(b"theirs"), NO_ATTRIBUTES, None))
    )
    problems: list[StoreErrorKind] = []

    store.write("a", body, NO_ATTRIBUTES, None)

    assert problems == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (b"ours", ["a"])


@pytest.mark.parametrize("condition", [None, Precondition(None)], ids=["overwrite", "new"])
def test_a_file_that_is_about_to_be_renamed_is_not_touched(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, condition: Precondition | None
) -> None:
    """Its writer has released the lock by then."""
    refused: list[StoreErrorKind] = []
    rename, replace = file_write.rename, os.replace

    def other() -> None:
        monkeypatch.undo()
        refused.append(refusal(store.write, "a", BytesBody(b"theirs"), NO_ATTRIBUTES, condition))

    def hooked_rename(*arguments: Any) -> bool:
        other()
        return rename(*arguments)

    def hooked_replace(*arguments: Any, **options: Any) -> None:
        other()
        replace(*arguments, **options)

    monkeypatch.setattr(file_write, "rename", hooked_rename)
    monkeypatch.setattr(os, "replace", hooked_replace)

    store.write("a", BytesBody(b"ours"), NO_ATTRIBUTES, condition)

    assert refused == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (b"ours", ["a"])


@pytest.mark.parametrize("times", [1, 99])
def test_a_lock_that_was_just_released_is_acquired_again(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """It is opened while it has its name, and locked when it has none, or another file has it."""
    flock, lock = fcntl.flock, folder / os.fsdecode(lock_name(b"a"))
    left = list(range(times))

    def late(file: int, what: int) -> None:
        if left:
            lock.unlink()
            if left.pop() % 2:
                lock.touch()
        flock(file, what)

    monkeypatch.setattr(fcntl, "flock", late)

    if times < file_write.TRIES:
        store.write("a", BytesBody(b"ours"), NO_ATTRIBUTES, None)
        assert (read(store, "a"), names(folder)) == (b"ours", ["a"])
    else:
        assert refusal(store.write, "a", BytesBody(b"ours"), NO_ATTRIBUTES, None) is StoreErrorKind.UNAVAILABLE
        assert keys(store) == []


@pytest.mark.parametrize("name", [temporary_name(b"a"), lock_name(b"a")], ids=["part", "lock"])
def test_leftovers_of_a_killed_run_are_not_listed_and_removed_by_the_next_write(
    store: Files, folder: Path, name: bytes
) -> None:
    left = folder / os.fsdecode(name)
    left.write_bytes(b"half a pic")

    assert keys(store) == []
    assert refusal(store.write, left.name, BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    store.write("a", BytesBody(b"x"), NO_ATTRIBUTES, None)
    assert names(folder) == ["a"]


@pytest.mark.parametrize("name", [temporary_name(b"a"), lock_name(b"a")], ids=["part", "lock"])
def test_leftovers_of_a_killed_run_are_cleaned_up_without_the_object(store: Files, folder: Path, name: bytes) -> None:
    (folder / os.fsdecode(name)).write_bytes(b"half a pic")

    store.clean_up("a")
    assert names(folder) == []


def test_a_file_that_is_being_written_is_not_cleaned_up(store: Files, folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with TemporaryFile(handle, b"a"):
            before = names(folder)
            assert refusal(store.clean_up, "a") is StoreErrorKind.UNAVAILABLE
            assert names(folder) == before
    finally:
        os.close(handle)


def test_a_lock_that_is_not_a_regular_file_is_not_touched(store: Files, folder: Path) -> None:
    lock = folder / os.fsdecode(lock_name(b"a"))

    os.mkfifo(lock)
    assert refusal(store.write, "a", BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    lock.unlink()
    lock.symlink_to(folder / "elsewhere")
    assert refusal(store.write, "a", BytesBody(b"x"), NO_ATTRIBUTES, None) is StoreErrorKind.IMPOSSIBLE
    assert names(folder) == [lock.name]


@pytest.mark.parametrize("how", ["replace", "overwrite"])
def test_a_writer_killed_at_any_point_leaves_a_complete_object(store: Files, folder: Path, how: str) -> None:
    """It is killed at each of the calls that create, change or remove something."""
    found: list[bytes] = []
    for number in range(99):
        store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
        command = [sys.executable, "-c", KILLED, str(folder), str(number), how]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
        found.append(read(store, "a"))
        assert keys(store) == ["a"]
        if how == "overwrite" and found[-1] == b"second":
            assert names(folder) == ["a"]
        if code == -signal.SIGTERM:  # it was completed
            break
        assert code == -signal.SIGKILL
        if number % 2:
            store.clean_up("a")
            assert (read(store, "a"), names(folder)) == (found[-1], ["a"])
        store.write(
            "a", BytesBody(b"third"), NO_ATTRIBUTES, Precondition(entry.etag if (entry := store.head("a")) else "")
        )
        assert (read(store, "a"), names(folder)) == (b"third", ["a"])

    assert found == sorted(found)  # the first for some calls, and then the second
    assert found.count(b"first") >= 6 and found.count(b"second") >= 1


def test_a_deletion_that_is_killed_at_any_point_is_complete_or_can_be_repeated(store: Files, folder: Path) -> None:
    existed = []
    for number in range(99):
        store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
        command = [sys.executable, "-c", KILLED, str(folder), str(number), "delete"]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
        existed.append(keys(store) == ["a"])
        store.clean_up("a")
        assert names(folder) == (["a"] if existed[-1] else [])
        if code == -signal.SIGTERM:
            break
        assert code == -signal.SIGKILL
    assert existed == sorted(existed, reverse=True) and existed.count(True) >= 5 and not existed[-1]


def hook_rename(monkeypatch: pytest.MonkeyPatch, *actions: Callable[[], object]) -> None:
    """Call an action before each call of `rename`."""
    rename, waiting = file_write.rename, list(actions)

    def watched(at: int, source: bytes, target: bytes, flags: int) -> bool:
        if waiting:
            waiting.pop(0)()
        return rename(at, source, target, flags)

    monkeypatch.setattr(file_write, "rename", watched)


@pytest.mark.parametrize("renames", [True, False], ids=["renames", "in place"])
def test_a_write_between_the_check_and_the_deletion_wins(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, renames: bool
) -> None:
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)

    def other() -> None:
        (folder / "new").write_bytes(b"theirs")
        if renames:
            (folder / "new").rename(folder / "a")
        else:
            (folder / "new").unlink()
            (folder / "a").write_bytes(b"theirs")

    hook_rename(monkeypatch, other)

    assert refusal(store.delete, "a", entry.etag) is StoreErrorKind.CHANGED
    assert (read(store, "a"), names(folder)) == (b"theirs", ["a"])


def test_the_newest_of_several_writes_during_a_deletion_is_kept(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    writes = [lambda: (folder / "a").write_bytes(b"theirs"), lambda: (folder / "a").write_bytes(b"theirs, newer")]
    hook_rename(monkeypatch, *writes)

    assert refusal(store.delete, "a", entry.etag) is StoreErrorKind.CHANGED
    assert (read(store, "a"), names(folder)) == (b"theirs, newer", ["a"])


def test_without_renameat2_a_file_is_checked_and_deleted(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.write("a", BytesBody(b"first"), NO_ATTRIBUTES, None)
    second = store.write("a", BytesBody(b"second"), NO_ATTRIBUTES, None)
    monkeypatch.setattr(file_write, "_renameat2", None)

    assert refusal(store.delete, "a", first.etag) is StoreErrorKind.CHANGED
    store.delete("a", second.etag)
    assert names(folder) == []
