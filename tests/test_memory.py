"""The byte budget and the spool."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from compressor import memory
from compressor import spool as spool_module
from compressor.errors import BusyError, LimitError, SettingsError
from compressor.memory import Reservation, Resources


def reserve(resources: Resources, count: int, still_wanted=lambda: None) -> Reservation:
    """As a request does it."""
    reservation = resources.reservation()
    try:
        reservation.extend(count, still_wanted)
    except BaseException:
        reservation.close()
        raise
    return reservation


@pytest.fixture
def disk():
    return spool_module.default_spool_dir()


def test_what_never_fits_is_refused_at_once(disk: Any) -> None:
    with pytest.raises(LimitError, match="whole budget"):
        reserve(Resources(memory_budget=100, spool_dir=disk), 101)


def test_a_reservation_counts_the_overhead_and_is_given_back(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10)
    with reserve(resources, 50) as reservation:
        assert resources.reserved_bytes == reservation.bytes == 60
    reservation.close()
    assert resources.reserved_bytes == 0


def test_what_does_not_fit_now_waits_its_turn(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk)
    first = reserve(resources, 80)
    order = []

    def ask(name, count):
        with reserve(resources, count):
            order.append(name)

    threads = [threading.Thread(target=ask, args=request) for request in (("large", 90), ("small", 10))]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    assert not order  # the small one fits, but does not overtake the large one
    first.close()
    for thread in threads:
        thread.join()
    assert order == ["large", "small"]


def test_a_wait_that_is_too_long_ends_in_busy_with_a_time_to_come_back(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, wait_seconds=0.05)
    with reserve(resources, 80), pytest.raises(BusyError) as busy:
        reserve(resources, 30)
    assert busy.value.retry_after_seconds > 0
    reserve(resources, 100).close()


def test_a_full_queue_ends_in_busy_at_once(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, queue_limit=0, wait_seconds=60)
    with reserve(resources, 80), pytest.raises(BusyError):
        reserve(resources, 30)


def test_a_wait_ends_when_nobody_wants_it_any_more(disk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PATIENCE_SECONDS", 0.01)
    resources = Resources(memory_budget=100, spool_dir=disk, wait_seconds=60)

    def cancelled():
        raise InterruptedError

    with reserve(resources, 80), pytest.raises(InterruptedError):
        reserve(resources, 30, cancelled)


def test_what_is_held_early_counts_beside_what_is_asked_for(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10)
    with resources.reservation() as reservation:
        reservation.hold(20)
        assert resources.reserved_bytes == 30
        reservation.extend(30)
        assert resources.reserved_bytes == reservation.bytes == 60
        other = resources.reservation()
        with pytest.raises(BusyError):
            reservation.hold(31)
        with pytest.raises(LimitError):
            reservation.hold(41)
        other.close()
        reservation.hold(40)
    assert resources.reserved_bytes == 0


def test_those_who_wait_never_hold_so_much_that_none_of_them_could_go_on(disk: Any) -> None:
    resources = Resources(memory_budget=100, spool_dir=disk, overhead=10, wait_seconds=60)
    admitted = reserve(resources, 30)
    waiting = threading.Thread(target=lambda: reserve(resources, 60).close())
    waiting.start()
    while not resources._queue:
        time.sleep(0.001)
    early = [resources.reservation() for _ in range(3)]  # 10 each; 30 + 10 + 60 leave nothing for a fourth
    with pytest.raises(BusyError):
        resources.reservation()
    with pytest.raises(BusyError, match="waiting requests"):
        early[0].extend(70)
    admitted.close()
    waiting.join(10)
    assert not waiting.is_alive()
    for reservation in early:
        reservation.close()
    assert resources.reserved_bytes == resources._early_bytes == 0


def test_a_spool_asks_before_each_access_whether_it_is_still_wanted(disk: Any) -> None:
    answers = iter([None, None])

    def still_wanted():
        if next(answers, InterruptedError):
            raise InterruptedError

    spool = Resources(spool_dir=disk).spool(still_wanted)
    spool.write(b"abc")
    assert spool.read(1, 5) == b"bc"
    for access in (lambda: spool.write(b"d"), lambda: spool.read(0, 1), lambda: list(spool.chunks())):
        with pytest.raises(InterruptedError):
            access()
    spool.close()


def test_a_head_that_was_made_last_is_read_before_its_spool(disk: Any) -> None:
    spool = Resources(spool_dir=disk).spool()
    spool.write(b"defgh")
    headed = spool_module.WithHead(b"abc", spool)
    for start in range(10):
        for count in range(10):
            assert headed.read(start, count) == b"abcdefgh"[start : start + count]
    assert b"".join(headed.chunks()) == b"abcdefgh"
    assert headed.size == 8
    spool.close()


@pytest.mark.parametrize("size", [0, 1, 1000, spool_module.SPOOL_MEMORY_BYTES + 1, 3 * spool_module.CHUNK_BYTES + 5])
def test_a_spool_gives_back_what_was_written_as_often_as_asked(disk: Any, size: Any) -> None:
    data = os.urandom(size)
    resources = Resources(spool_dir=disk)
    spool = resources.spool()
    for at in range(0, size, 70_000):
        spool.write(data[at : at + 70_000])

    assert b"".join(spool.chunks()) == b"".join(spool.chunks()) == data
    assert spool.read(size // 2, 10) == data[size // 2 : size // 2 + 10]
    assert b"".join(spool.chunks(size // 2)) == data[size // 2 :]
    spool.close()
    assert resources.spooled_bytes == 0


def test_a_spool_leaves_no_name_behind(tmp_path_factory: pytest.TempPathFactory, disk: Any) -> None:
    directory = os.path.join(disk, f"spool-test-{os.getpid()}")
    os.mkdir(directory)
    spool = Resources(spool_dir=directory).spool()
    spool.write(bytes(1 << 20))
    assert os.listdir(directory) == []
    spool.close()
    os.rmdir(directory)


def test_spools_share_a_disk_budget(disk: Any) -> None:
    resources = Resources(spool_dir=disk, spool_budget=1000)
    first, second = resources.spool(), resources.spool()
    first.write(bytes(600))
    with pytest.raises(LimitError, match="1000"):
        second.write(bytes(600))
    first.close()
    second.write(bytes(600))
    second.close()


def test_a_spool_directory_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {tmp_path} rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(spool_module, "MOUNTINFO", str(mounts))
    with pytest.raises(SettingsError, match="tmpfs"):
        Resources(spool_dir=str(tmp_path))


def test_a_spool_directory_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="spool_dir"):
        Resources(spool_dir="/nowhere/at/all")


@pytest.mark.parametrize(
    "name",
    [
        "größe 日本".encode(),
        b"caf\xe9",
        b"a b\tc\nd\\e#f",
        b"\\040",
        b"\\x41",
        "\N{NO-BREAK SPACE}\x85".encode(),
        b"r\rs",
    ],
    ids=repr,
)
def test_a_mount_point_is_recognised_whatever_bytes_its_name_has(
    name: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = os.fsencode(tmp_path) + b"/" + name
    os.mkdir(directory)
    escaped = b"".join(b"\\%03o" % byte if byte in b" \t\n\\#" else bytes([byte]) for byte in directory)
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(b"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / " + escaped + b" rw - tmpfs tmpfs rw\n")
    monkeypatch.setattr(spool_module, "MOUNTINFO", str(mounts))

    assert spool_module.file_system(os.fsdecode(directory)) == "tmpfs"
    assert spool_module.file_system(str(tmp_path)) == "ext4"
    with pytest.raises(SettingsError, match="in memory"):
        Resources(spool_dir=os.fsdecode(directory))
