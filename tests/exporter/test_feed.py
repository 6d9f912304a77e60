"""Events: the effect of each, and that each is read once."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from compressor.exporter import feed as feeds
from compressor.exporter import index
from compressor.exporter.accounting import Readings
from compressor.footprint import Basis, Drivers, amounts
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectOutcome, ObjectResult
from tests import ROOT
from tests.exporter.support import CREDITED, Bench, avoided
from tests.ledger.ledgers import COPY, IN_PLACE, KEPT, write

FIXED = Basis(storage_class="hdd-3az", originals_deleted=True, network="fixed")
OBJECTS = {"2024/a.jpg": (1000, 600), "ü b.jpg": (500, 400), "flat.png": (300, 300)}


def unsent(found: Readings, access: str = "fixed") -> float:
    return found.counters["avoided_egress_bytes", access]


def events(found: Readings) -> dict[str, float]:
    return {of: count for (name, of), count in found.counters.items() if name == "feed_events" and count}


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    write(tmp_path / "a.ledger", OBJECTS)
    bench = Bench(tmp_path, FIXED, feeds=(tmp_path / "feed.jsonl",))
    bench.observe()
    return bench


def test_each_download_counts_the_bytes_that_it_saved(bench: Bench) -> None:
    bench.append_event("download", key="2024/a.jpg", count=10)
    bench.append_event("download", key="ü b.jpg")
    bench.append_event("download", key="%C3%BC%20b.jpg")
    bench.append_event("download", key="flat.png")  # was not compressed
    bench.append_event("download", key="nothing.jpg")

    found = bench.observe()

    assert unsent(found) == 10 * 400 + 100 + 100
    assert events(found) == {"download,counted": 3, "download,unknown": 2}
    expected = list(amounts(FIXED.estimate(Drivers(0.0, 0.0, unsent_bytes=4200.0)))["avoided", "energy", "network"])
    assert list(found.amounts["avoided", "energy", "network"]) == pytest.approx(expected)


def test_egress_counts_in_proportion_to_the_credited_saving(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "kept.ledger", {"k.jpg": (1000, 500)}, KEPT)
    bench.observe()
    bench.append_event("egress", bytes=2000)
    assert unsent(bench.observe()) == 2000 * 500 / 1000

    bench.append_event("egress", bytes=2000, ledger=str(tmp_path / "kept.ledger"))
    assert unsent(bench.observe()) == 1000 + 2000
    bench.append_event("egress", bytes=2000, ledger="other.ledger")
    assert events(bench.observe()) == {"egress,counted": 2, "egress,unknown": 1}


def test_without_a_network_bytes_are_counted_but_nothing_is_estimated(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", OBJECTS)
    bench = Bench(tmp_path, CREDITED, feeds=(tmp_path / "feed.jsonl",))
    bench.append_event("download", key="2024/a.jpg")

    found = bench.observe()

    assert unsent(found, "unknown") == 400
    assert ("avoided", "energy", "network") not in found.amounts


def test_a_deletion_ends_credit_from_then_on_and_counts_once(bench: Bench) -> None:
    bench.wait(10)
    bench.append_event("delete", key="2024/a.jpg")
    bench.append_event("delete", key="2024/a.jpg")

    found = bench.observe()
    assert (avoided(found), found.saved_bytes) == (5000, 100)
    assert events(found) == {"delete,counted": 1, "delete,unknown": 1}
    bench.append_event("download", key="2024/a.jpg")
    assert avoided(bench.wait(10)) == 6000
    assert unsent(bench.observe()) == 0

    write(bench.folder / "a.ledger", {"c.jpg": (1000, 900)})  # its part is written again, with the deleted key
    assert bench.observe().saved_bytes == 200


def test_a_confirmation_applies_from_its_time_and_may_name_a_ledger(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "b.ledger", {"b.jpg": (1000, 900)})
    bench.observe()
    bench.wait(300)
    bench.append_event("confirm", ledger=str(tmp_path / "b.ledger"))
    bench.observe()
    found = bench.wait(100)
    assert (found.saved_bytes, found.expired_bytes) == (100, 500)
    assert avoided(found) == 365 * 500 + 400 * 100

    append(
        bench.feed, json.dumps({"time": bench.now + 1e9, "event": "confirm"}).encode() + b"\n"
    )  # a time in the future does not extend the credit
    bench.observe()
    assert bench.wait(366).saved_bytes == 0
    assert events(bench.observe()) == {"confirm,counted": 2}


def test_an_event_for_a_key_of_several_ledgers_must_name_the_ledger(bench: Bench, tmp_path: Path) -> None:
    write(tmp_path / "b.ledger", {"2024/a.jpg": (600, 550)}, IN_PLACE)
    bench.observe()
    bench.append_event("download", key="2024/a.jpg")
    bench.append_event("download", key="2024/a.jpg", ledger=str(tmp_path / "b.ledger"))
    found = bench.observe()
    assert unsent(found) == 50
    assert events(found) == {"download,ambiguous": 1, "download,counted": 1}

    bench.append_event("delete", key="2024/a.jpg")
    assert bench.observe().saved_bytes == 100


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"event": "download", "key": "2024/a.jpg"}', b"\xff\xfe",
        b"[" * 60000,
        b'{"time": 1, "event": "download"}', b'{"time": 1, "event": "download", "key": ""}',
        b'{"time": 1, "event": "download", "key": 7}', b'{"time": 1, "event": "download", "key": "\\ud800"}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "count": -1}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "count": NaN}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "count": Infinity}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "count": 1e13}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "count": true}',
        b'{"time": 1, "event": "download", "key": "2024/a.jpg", "ledger": 1}',
        b'{"time": -1, "event": "confirm"}', b'{"time": 1, "event": "egress"}', b'{"time": 1, "event": "other"}',
        b'{"time": 1, "event": "egress", "bytes": ' + b"9" * 5000 + b"}",
        b'{"time": 1, "event": ["download"]}',
    ],
    ids=lambda line: line[-40:].decode(errors="replace"),
)  # fmt: skip
def test_an_invalid_line_is_counted_and_skipped(bench: Bench, line: bytes) -> None:
    bench.feed.write_bytes(line + b"\n")
    bench.append_event("download", key="2024/a.jpg")

    found = bench.observe()

    assert unsent(found) == 400
    assert found.counters["feed_events", "download,counted"] == 1
    assert sum(events(found).values()) == (2 if line else 1)


def test_a_line_that_is_too_long_is_counted_and_skipped_up_to_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(feeds, "LINE_BYTES_MAX", 100)
    for size in (101, 999, 1000, 1001, 3456):
        append(bench.feed, b"x" * size)
        bench.observe()  # an incomplete line is read later
        bench.restart()
        append(bench.feed, b"\n")
        bench.append_event("download", key="2024/a.jpg")
        bench.observe()

    found = bench.observe()
    assert unsent(found) == 5 * 400
    assert events(found) == {"download,counted": 5, "other,invalid": 5}


def test_an_incomplete_line_is_read_when_it_is_complete(bench: Bench) -> None:
    line = json.dumps({"time": 1, "event": "download", "key": "2024/a.jpg"}).encode()
    for at in range(0, len(line), 7):
        append(bench.feed, line[at : at + 7])
        assert unsent(bench.observe()) == 0
    append(bench.feed, b"\n")
    assert unsent(bench.observe()) == 400


def test_every_line_counts_once_across_restarts_rotation_and_copies(bench: Bench) -> None:
    def download(count: int) -> None:
        for _ in range(count):
            bench.now += 1
            bench.append_event("download", key="2024/a.jpg")

    download(3)
    assert unsent(bench.observe()) == 3 * 400
    bench.restart()
    download(1)
    assert unsent(bench.observe()) == 4 * 400

    download(1)  # not read yet when it is rotated
    bench.feed.rename(bench.folder / "feed.jsonl.1")
    download(2)
    assert unsent(bench.observe()) == 7 * 400

    download(1)
    bench.feed.write_bytes(bench.feed.read_bytes())  # truncated and written again
    assert unsent(bench.observe()) == 8 * 400

    copy = bench.folder / "copy"
    copy.write_bytes(bench.feed.read_bytes())
    copy.rename(bench.feed)  # a file with another inode
    assert unsent(bench.observe()) == 8 * 400
    download(1)
    bench.restart()
    assert unsent(bench.observe()) == 9 * 400


def test_a_file_that_was_rotated_while_the_exporter_was_stopped_is_read_if_it_is_given(bench: Bench) -> None:
    bench.append_event("download", key="2024/a.jpg")
    bench.observe()
    bench.exporter.close()
    bench.now += 1
    bench.append_event("download", key="2024/a.jpg")
    bench.feed.rename(bench.folder / "feed.jsonl.1")
    bench.now += 1
    bench.append_event("download", key="ü b.jpg")

    bench.start(feeds=(bench.feed, bench.folder / "feed.jsonl.1"))
    bench.exporter.readings()

    assert unsent(bench.observe()) == 2 * 400 + 100


def test_a_file_that_was_shortened_is_not_read_again(bench: Bench) -> None:
    for second in range(50):
        bench.now += second
        bench.append_event("download", key="2024/a.jpg")
    bench.observe()
    lines = bench.feed.read_bytes().splitlines(keepends=True)
    for left in (lines[:40], [*lines[:30], *lines[31:]], lines[:1], lines):
        bench.feed.write_bytes(b"".join(left))
        assert unsent(bench.observe()) == 50 * 400

    bench.append_event("download", key="ü b.jpg")
    assert unsent(bench.observe()) == 50 * 400 + 100


def test_a_file_that_was_truncated_and_written_again_is_read_from_its_start(bench: Bench) -> None:
    for _ in range(3):
        bench.append_event("download", key="2024/a.jpg")
    bench.observe()
    bench.now += 5
    bench.feed.write_bytes(b"")
    bench.observe()
    bench.append_event("download", key="2024/a.jpg")
    assert unsent(bench.observe()) == 4 * 400

    bench.now += 5
    os.truncate(bench.feed, 0)  # and it outgrows what was read before the next read
    for _ in range(10):
        bench.append_event("download", key="2024/a.jpg")
    assert unsent(bench.observe()) == 14 * 400


def test_a_feed_given_twice_counts_once(tmp_path: Path) -> None:
    write(tmp_path / "a.ledger", OBJECTS)
    (tmp_path / "link").symlink_to(tmp_path / "feed.jsonl")
    bench = Bench(tmp_path, FIXED, feeds=(tmp_path / "feed.jsonl", tmp_path / "link"))
    bench.append_event("download", key="2024/a.jpg")

    assert unsent(bench.observe()) == 400


def test_feeds_wait_for_the_keys_of_all_ledgers(tmp_path: Path) -> None:
    for shard in (1, 2, 3):
        write(tmp_path / "a.ledger", {f"{shard}.jpg": (1000, 600)}, shard=shard)
    bench = Bench(tmp_path, FIXED, feeds=(tmp_path / "feed.jsonl",))
    bench.append_event("delete", key="3.jpg")
    bench.exporter.tick()
    for _ in range(3):
        assert bench.exporter.follow()
        assert bench.exporter.readings().saved_bytes == 1200

    assert bench.observe().saved_bytes == 800


def test_a_ledger_with_missing_or_broken_parts_does_not_block_feeds(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("b", "c"):
        write(tmp_path / f"{name}.ledger", {f"{name}.jpg": (1000, 600)}, COPY)
    (tmp_path / "b.ledger.parts" / "00000001.jsonl.gz").unlink()
    (tmp_path / "c.ledger.parts" / "00000001.jsonl.gz").write_bytes(b"no gzip")
    for key in ("2024/a.jpg", "b.jpg", "c.jpg"):
        bench.append_event("download", key=key)

    found = bench.observe()

    assert events(found) == {"download,counted": 1, "download,unknown": 2}
    assert sum("events about its keys are ignored" in record.message for record in caplog.records) == 2


NGINX = """\
192.0.2.1 - - [23/Nov/2026:09:00:00 +0000] "GET /2024/a.jpg HTTP/1.1" 200 600 "-" "Mozilla/5.0 (X11)"
192.0.2.1 - - [23/Nov/2026:09:00:01 +0000] "GET /2024/a.jpg?v=2 HTTP/2.0" 200 600 "https://x/" "curl"
192.0.2.1 - - [23/Nov/2026:09:00:02 +0000] "GET /2024/a.jpg HTTP/1.1" 304 0 "-" "Mozilla/5.0 (X11)"
192.0.2.1 - - [23/Nov/2026:09:00:02 +0000] "HEAD /2024/a.jpg HTTP/1.1" 200 0 "-" "Mozilla/5.0 (X11)"
192.0.2.1 - - [23/Nov/2026:09:00:03 +0000] "GET /2024/%C3%BC%20b.jpg HTTP/1.1" 200 400 "-" "Mozilla/5.0 (X11)"
192.0.2.1 - - [23/Nov/2026:09:00:04 +0000] "GET /\\x22 HTTP/1.1" 200 10 "-" "-"
"""
S3 = """\
79a59d photos [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a59d 3E5742 REST.GET.OBJECT 2024/a.jpg "GET /photos/2024/a.jpg \
HTTP/1.1" 200 - 600 600 28 27 "-" "S3Console/0.4" - s9lz SigV4 - AuthHeader photos.s3.amazonaws.com TLSv1.2 - -
79a59d photos [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a59d 3E5742 REST.GET.OBJECT 2024/a.jpg "GET /photos/2024/a.jpg \
HTTP/1.1" 206 - 300 600 28 27 "-" "S3Console/0.4" - s9lz SigV4 - AuthHeader photos.s3.amazonaws.com TLSv1.2 - -
79a59d photos [06/Feb/2026:00:00:38 +0000] 192.0.2.3 79a59d 3E5742 REST.DELETE.OBJECT 2024/%C3%BC+x.jpg "DELETE \
/photos/2024/x.jpg HTTP/1.1" 204 - - 600 28 27 "-" "S3Console/0.4" - s9lz SigV4 - AuthHeader photos TLSv1.2 - -
79a59d photos [06/Feb/2026:00:00:38 +0000] - AmazonS3 3E5742 S3.EXPIRE.OBJECT 2024/old.jpg "-" - - - 600 - - "-" "-" -
"""


def commands() -> list[str]:
    page = ROOT / "docs" / "exporter.md"
    return [found for found in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL) if found.startswith("awk")]


@pytest.mark.parametrize(
    "number, file, log, expected",
    [
        (0, "access.log", NGINX, [("download", "a.jpg", 2), ("download", "%C3%BC%20b.jpg", 1), (None, None, None)]),
        (1, "s3/06", S3, [("download", "a.jpg", 1), ("delete", "old.jpg", None), ("delete", "%C3%BC+x.jpg", None)]),
    ],
)  # fmt: skip
def test_the_documented_commands_convert_logs_to_feeds(
    tmp_path: Path, number: int, file: str, log: str, expected: list[Any]
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(log)

    subprocess.run(["sh", "-c", commands()[number]], cwd=tmp_path, check=True, timeout=10)

    found: list[Any] = []
    for line in (tmp_path / "feed.jsonl").read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # a key with a quotation mark, which nginx writes as \x22: a line that is counted as invalid
            event = {}
        assert "time" in event or not event
        found.append((event.get("event"), event.get("key"), event.get("count")))
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_an_event_names_the_key_of_a_result(tmp_path: Path) -> None:
    done = ObjectResult(
        key="a.jpg", etag="e", size=900, outcome=ObjectOutcome.COMPRESSED, bytes_out=500, result_key="a.webp"
    )
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add_shard("z")
        ledger.finish(1, done)
        ledger.finish_shard(1)

    assert list(index._rows(str(tmp_path / "ledger"), 7, 1)) == [(b"a.webp", 7, 1, 400, 500)]
