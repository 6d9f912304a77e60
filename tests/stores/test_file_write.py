"""Files that several write at once, and what killed writers leave."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from compressor.stores import file_write
from compressor.stores.contract import CHUNK_BYTES, Precondition, StoreError, StoreErrorKind
from compressor.stores.file_write import Part, lock_name, part_name
from compressor.stores.files import Files
from tests import ROOT
from tests.stores.store_contract import NOTHING, Bytes, Meddled, keys, noise, read, trouble

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

folder, left, only = sys.argv[1], int(sys.argv[2]), None
store = Files(folder)
if sys.argv[3] == "only":
    only = Precondition(store.head("a").etag)

def count(event, arguments):
    global left
    if event in ("open", "os.remove", "os.rename", "os.link", "os.utime", "os.chmod", "fcntl.flock"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
store.write("a", Body(), Attributes(local=(0o600, os.getuid(), os.getgid(), 10**18, ())), only)
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


class Halting(Bytes):
    """A body that stops half way until it is told to go on."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.halted, self.go_on = Event(), Event()

    def chunks(self) -> Iterator[bytes]:
        for number, chunk in enumerate(super().chunks()):
            if number:
                self.halted.set()
                self.go_on.wait(10)
            yield chunk


def around(monkeypatch: pytest.MonkeyPatch, *turns: tuple[Callable[[], object], Callable[[], object]]) -> None:
    """Have something happen before and behind each exchange of names."""
    exchange: Exchange = file_write.exchange
    waiting = list(turns)

    def watched(at: int, one: bytes, other: bytes) -> bool:
        before, behind = waiting.pop(0) if waiting else (nothing, nothing)
        before()
        done = exchange(at, one, other)
        behind()
        return done

    monkeypatch.setattr(file_write, "exchange", watched)


def nothing() -> None: ...


@pytest.mark.parametrize("early", [True, False], ids=["before the exchange", "behind it"])
def test_no_writer_takes_away_what_another_one_has_swapped_out(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """What the exchange took out is compared under the part's name; it has to be there still."""
    first = store.write("a", Bytes(b"first"), NOTHING, None)
    refused: list[StoreErrorKind] = []

    def other() -> None:
        refused.append(trouble(store.write, "a", Bytes(THEIRS), NOTHING, None))

    around(monkeypatch, (other, nothing) if early else (nothing, other))

    ours = store.write("a", Bytes(OURS), NOTHING, Precondition(first.etag))

    assert refused == [StoreErrorKind.UNAVAILABLE]
    assert (store.head("a"), read(store, "a"), names(folder)) == (ours, OURS, ["a"])


def test_no_half_written_part_gets_into_the_place_of_an_object(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an exchange the part's name is free to be written, if the lock were on what has that name."""
    first = store.write("a", Bytes(b"first"), NOTHING, None)
    theirs, refused = Halting(THEIRS), list[StoreError]()

    def write() -> None:
        try:
            store.write("a", theirs, NOTHING, None)
        except StoreError as error:
            refused.append(error)
        theirs.halted.set()

    other = Thread(target=write)

    def begin() -> None:
        other.start()
        theirs.halted.wait(10)

    around(monkeypatch, (nothing, begin))
    try:
        store.write("a", Bytes(OURS), NOTHING, Precondition(first.etag))
        assert read(store, "a") == OURS
    finally:
        theirs.go_on.set()
        other.join()

    assert [error.kind for error in refused] == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (OURS, ["a"])


def test_another_program_that_writes_between_the_look_and_the_exchange_wins(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look is before the exchange; what comes out of that is compared again."""
    entry = store.write("a", Bytes(b"first"), NOTHING, None)
    around(monkeypatch, (lambda: (folder / "a").write_bytes(b"theirs"), nothing))

    assert trouble(store.write, "a", Bytes(b"ours"), NOTHING, Precondition(entry.etag)) is StoreErrorKind.CHANGED
    assert (read(store, "a"), names(folder)) == (b"theirs", ["a"])


@pytest.mark.parametrize("turns", [1, 2, 3, 20])
@pytest.mark.parametrize("anew", [True, False], ids=["anew", "in place"])
def test_of_what_another_program_writes_the_newest_stays(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, turns: int, anew: bool
) -> None:
    """Into our file too, while that has the name for a moment."""
    entry = store.write("a", Bytes(b"first"), NOTHING, None)
    written: list[bytes] = []

    def other() -> None:
        written.append(b"theirs, no. %d" % len(written))
        (folder / "new").write_bytes(written[-1])
        if anew:
            (folder / "new").rename(folder / "a")
        else:
            (folder / "new").unlink()
            (folder / "a").write_bytes(written[-1])

    around(monkeypatch, *[(other, nothing)] * turns)

    assert trouble(store.write, "a", Bytes(b"ours"), NOTHING, Precondition(entry.etag)) is StoreErrorKind.CHANGED
    assert len(written) == min(turns, file_write.TRIES)
    assert (read(store, "a"), names(folder)) == (written[-1], ["a"])


def test_who_deletes_what_was_exchanged_wins(store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = store.write("a", Bytes(b"first"), NOTHING, None)
    around(monkeypatch, (lambda: (folder / "a").write_bytes(b"theirs"), (folder / "a").unlink))

    assert trouble(store.write, "a", Bytes(b"ours"), NOTHING, Precondition(entry.etag)) is StoreErrorKind.MISSING
    assert names(folder) == []


def test_what_another_is_writing_is_left_to_it(store: Files, folder: Path) -> None:
    body = Meddled(b"ours", lambda: problems.append(trouble(store.write, "a", Bytes(b"theirs"), NOTHING, None)))
    problems: list[StoreErrorKind] = []

    store.write("a", body, NOTHING, None)

    assert problems == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (b"ours", ["a"])


@pytest.mark.parametrize("only", [None, Precondition(None)], ids=["over", "new"])
def test_what_is_about_to_get_its_name_is_left_alone(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, only: Precondition | None
) -> None:
    """Its writer has given up the lock by then."""
    refused: list[StoreErrorKind] = []
    rename, replace = file_write.rename, os.replace

    def other() -> None:
        monkeypatch.undo()
        refused.append(trouble(store.write, "a", Bytes(b"theirs"), NOTHING, only))

    monkeypatch.setattr(file_write, "rename", lambda *words: other() or rename(*words))
    monkeypatch.setattr(os, "replace", lambda *words, **more: other() or replace(*words, **more))

    store.write("a", Bytes(b"ours"), NOTHING, only)

    assert refused == [StoreErrorKind.UNAVAILABLE]
    assert (read(store, "a"), names(folder)) == (b"ours", ["a"])


@pytest.mark.parametrize("times", [1, 99])
def test_a_lock_whose_holder_has_just_ended_is_asked_for_again(
    store: Files, folder: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """It was opened while it had its name, and locked when it had none, or another file had it."""
    flock, lock = file_write.fcntl.flock, folder / os.fsdecode(lock_name(b"a"))
    left = list(range(times))

    def late(file: int, what: int) -> None:
        if left:
            lock.unlink()
            if left.pop() % 2:
                lock.touch()
        flock(file, what)

    monkeypatch.setattr(file_write.fcntl, "flock", late)

    if times < file_write.TRIES:
        store.write("a", Bytes(b"ours"), NOTHING, None)
        assert (read(store, "a"), names(folder)) == (b"ours", ["a"])
    else:
        assert trouble(store.write, "a", Bytes(b"ours"), NOTHING, None) is StoreErrorKind.UNAVAILABLE
        assert keys(store) == []


@pytest.mark.parametrize("name", [part_name(b"a"), lock_name(b"a")], ids=["part", "lock"])
def test_what_a_killed_run_left_is_not_listed_and_goes_with_the_next_write(
    store: Files, folder: Path, name: bytes
) -> None:
    left = folder / os.fsdecode(name)
    left.write_bytes(b"half a pic")

    assert keys(store) == []
    assert trouble(store.write, left.name, Bytes(b"x"), NOTHING, None) is StoreErrorKind.IMPOSSIBLE
    store.write("a", Bytes(b"x"), NOTHING, None)
    assert names(folder) == ["a"]


@pytest.mark.parametrize("name", [part_name(b"a"), lock_name(b"a")], ids=["part", "lock"])
def test_what_a_killed_run_left_is_tidied_up_though_the_key_is_gone(store: Files, folder: Path, name: bytes) -> None:
    (folder / os.fsdecode(name)).write_bytes(b"half a pic")

    store.clean_up("a")
    assert names(folder) == []


def test_what_somebody_is_writing_is_not_tidied_up(store: Files, folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        with Part(handle, b"a"):
            before = names(folder)
            assert trouble(store.clean_up, "a") is StoreErrorKind.UNAVAILABLE
            assert names(folder) == before
    finally:
        os.close(handle)


def test_what_has_the_name_of_a_lock_and_is_no_file_is_left_alone(store: Files, folder: Path) -> None:
    lock = folder / os.fsdecode(lock_name(b"a"))

    os.mkfifo(lock)
    assert trouble(store.write, "a", Bytes(b"x"), NOTHING, None) is StoreErrorKind.IMPOSSIBLE
    lock.unlink()
    lock.symlink_to(folder / "elsewhere")
    assert trouble(store.write, "a", Bytes(b"x"), NOTHING, None) is StoreErrorKind.IMPOSSIBLE
    assert names(folder) == [lock.name]


@pytest.mark.parametrize("how", ["only", "over"])
def test_a_writer_killed_at_any_point_leaves_the_object_whole(store: Files, folder: Path, how: str) -> None:
    """At each of the calls that make, change or remove something."""
    found: list[bytes] = []
    for number in range(99):
        store.write("a", Bytes(b"first"), NOTHING, None)
        command = [sys.executable, "-c", KILLED, str(folder), str(number), how]
        code = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode
        found.append(read(store, "a"))
        assert keys(store) == ["a"]
        if how == "over" and found[-1] == b"second":
            assert names(folder) == ["a"]
        if code == -signal.SIGTERM:  # it came to its end
            break
        assert code == -signal.SIGKILL
        if number % 2:
            store.clean_up("a")
            assert (read(store, "a"), names(folder)) == (found[-1], ["a"])
        store.write("a", Bytes(b"third"), NOTHING, Precondition(entry.etag if (entry := store.head("a")) else ""))
        assert (read(store, "a"), names(folder)) == (b"third", ["a"])

    assert found == sorted(found)  # the first as long as it goes, and then the second
    assert found.count(b"first") >= 6 and found.count(b"second") >= 1
