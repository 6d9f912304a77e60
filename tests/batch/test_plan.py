"""The objects of a run, and the rate at which they are started."""

import csv
import gzip
import io
import itertools
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from compressor.batch import plan
from compressor.batch.api import launch
from compressor.batch.dry_run import DryRun
from compressor.batch.job import Job
from compressor.batch.plan import Keys, Manifest, seconds_of, shards
from compressor.batch.rate_limit import RateLimit
from compressor.batch.request import Request
from compressor.errors import SettingsError
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Settings
from compressor.stores.contract import Entry
from compressor.stores.filters import Filters
from tests.batch.support import Inline, Memory, jpeg

ROWS = [("pre/a b.jpg", 10, "e1"), ("pre/ü\n.jpg", 20, "e2"), ("other/c.jpg", 30, "e3"), ("pre/folder/", 0, "e4")]
EXPECTED = [Entry("a b.jpg", 10, "e1"), Entry("ü\n.jpg", 20, "e2")]


def listed(url: str) -> list[Entry]:
    return [entry for _, entry in Manifest(url, "pre/").entries()]


def as_csv(header: list[str] | None, rows: Iterable[Iterable[Any]] = ROWS) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([header] if header else [])
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("header", [None, ["key", "size", "etag"], ["Key", "Size", "ETag"]])
def test_a_csv_lists_objects(header: Any, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(as_csv(header))
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(as_csv(header)))

    assert listed(f"{tmp_path}/list.csv") == listed(f"{tmp_path}/list.csv.gz") == EXPECTED


def test_a_csv_may_have_keys_only(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("key\npre/a.jpg\n")

    assert listed(f"{tmp_path}/list.csv") == [Entry("a.jpg", 0, "")]


def test_a_parquet_file_lists_objects(tmp_path: Path) -> None:
    table = pyarrow.table({name: [row[at] for row in ROWS] for at, name in enumerate(("key", "size", "etag"))})
    pyarrow.parquet.write_table(table, tmp_path / "list.parquet")

    assert listed(f"{tmp_path}/list.parquet") == EXPECTED


def test_an_invalid_parquet_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.parquet").write_bytes(b"key,size")
    pyarrow.parquet.write_table(pyarrow.table({"key": [b"a"]}), tmp_path / "binary.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"name": ["a"]}), tmp_path / "nameless.parquet")

    for name, problem in (("list", "list.parquet"), ("no", "no.parquet"), ("binary", "row 1"), ("nameless", "row 1")):
        with pytest.raises(LedgerError, match=problem) as caught:
            listed(f"{tmp_path}/{name}.parquet")
        assert "\n" not in str(caught.value)


TIMES = ["2023-11-14T22:13:20.000Z", "", "2023-11-14T23:13:20+01:00"]


def inventory(folder: Path, schema: str, rows: Iterable[Iterable[Any]]) -> str:
    folder.mkdir()
    (folder / "1.csv").write_bytes(as_csv(None, rows))
    files = [{"key": "x/data/1.csv"}]
    manifest = {"destinationBucket": "b", "fileFormat": "CSV", "fileSchema": schema, "files": files}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return f"{folder}/manifest.json"


def test_modification_times_are_read_from_manifests(tmp_path: Path) -> None:
    rows = [(f"pre/{number}", time) for number, time in enumerate(TIMES)]
    for name in ("LastModifiedDate", "last_modified_date", "Last_Modified"):
        (tmp_path / f"{name}.csv").write_bytes(as_csv(["Key", name], rows))
    times = [datetime.fromisoformat(time).astimezone(UTC) if time else None for time in TIMES]
    for unit in ("s", "ms", "us"):
        for zone in (None, "UTC", "+01:00"):
            column = pyarrow.array(times, pyarrow.timestamp(unit, zone))
            table = pyarrow.table({"key": [row[0] for row in rows], "last_modified_date": column})
            pyarrow.parquet.write_table(table, tmp_path / f"{unit}-{len(zone or '')}.parquet")
    urls = [str(path) for path in tmp_path.iterdir()]
    urls.append(inventory(tmp_path / "inventory", "Key, LastModifiedDate", rows))

    assert len(urls) == 13
    for url in urls:
        assert Manifest(url).dated()
        found = [entry.modified for entry in listed(url)]
        assert found[::2] == [1_700_000_000] * 2 and math.isnan(found[1]), url


def test_an_object_without_a_modification_time_matches_no_age_filter() -> None:
    entry = Entry("a", 1, "", math.nan)

    assert Filters().match(entry, 1000)
    assert not Filters(older_than=0).match(entry, 1000) and not Filters(newer_than=10**9).match(entry, 1000)


def test_age_filters_need_a_manifest_with_modification_times(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "list.csv").write_bytes(as_csv(["key", "size", "etag"]))
    (tmp_path / "bare.csv").write_bytes(as_csv(None))
    (tmp_path / "empty.csv").write_bytes(b"")
    pyarrow.parquet.write_table(pyarrow.table({"key": ["a"]}), tmp_path / "list.parquet")
    urls = [str(path) for path in tmp_path.iterdir() if path.suffix]
    urls.append(inventory(tmp_path / "inventory", "Bucket, Key, Size", []))
    assert len(urls) == 5
    job = Job(source=str(tmp_path / "in"), target=str(tmp_path / "out"))

    for url, age in itertools.product(urls, ("older_than", "newer_than")):
        request = Request(
            job=job, manifest=url, filters=Filters(**dict[str, Any]({age: 1.0})), ledger=tmp_path / "ledger"
        )
        with pytest.raises(SettingsError, match=f"{age}: .* does not say when") as caught:
            launch(request)
        assert caught.value.field == age
    assert not (tmp_path / "out").exists() and not (tmp_path / "ledger").exists()


def test_an_invalid_time_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("key,last_modified\na,yesterday\n")

    with pytest.raises(LedgerError, match="row 2 of the manifest is not key, modified"):
        listed(f"{tmp_path}/list.csv")


def test_an_inventory_with_its_files_in_the_same_folder_lists_objects(tmp_path: Path) -> None:
    rows = [("bucket", key.replace(" ", "+").replace("ü\n", "%C3%BC%0A"), size, etag) for key, size, etag in ROWS]
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(as_csv(None, rows[:1])))
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(as_csv(None, rows[1:])))
    manifest = {
        "sourceBucket": "bucket", "destinationBucket": "arn:aws:s3:::lists", "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "x/data/1.csv.gz", "size": 1}, {"key": "x/data/2.csv.gz", "size": 1}],
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert listed(f"{tmp_path}/manifest.json") == EXPECTED


@pytest.mark.parametrize("content", ["{}", "[1]", '{"files": 1}'])
def test_an_invalid_inventory_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(LedgerError, match="not the manifest of an S3 inventory"):
        listed(f"{tmp_path}/manifest.json")


def test_a_row_with_an_invalid_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("key,size\na,b\n")

    with pytest.raises(LedgerError, match="row 2"):
        listed(f"{tmp_path}/list.csv")


@pytest.mark.parametrize(
    "filters, expected",
    [
        (Filters(), "abcd"),
        (Filters(include=("*.jpg",)), "ab"),
        (Filters(exclude=("x/*",)), "ad"),
        (Filters(include=("*.jpg",), exclude=("x/*",)), "a"),
        (Filters(excluded_prefixes=("x/",)), "ad"),
        (Filters(size_min=20), "bcd"),
        (Filters(size_max=20), "ab"),
        (Filters(older_than=70), "a"),
        (Filters(newer_than=70), "bcd"),
    ],
    ids=str,
)
def test_filters(filters: Any, expected: str) -> None:
    entries = [
        Entry("a.jpg", 10, "", 900), Entry("x/b.jpg", 20, "", 940), Entry("x/c.png", 30, "", 950),
        Entry("d", 40, "", 960),
    ]  # fmt: skip
    assert "".join(entry.key.rpartition("/")[2][0] for entry in entries if filters.match(entry, 1000)) == expected


def test_ages() -> None:
    assert [seconds_of(age) for age in ("10s", "2m", "1.5h", "3d", "2w")] == [10, 120, 5400, 259200, 1209600]
    for wrong in ("", "3", "d", "-1d", "3y"):
        with pytest.raises(ValueError, match="is not an age"):
            seconds_of(wrong)


def test_shard_boundaries_stay_when_the_bucket_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "SHARD_KEYS", 3)
    store = Memory({f"{n:02d}": b"x" for n in range(0, 14, 2)})

    def found() -> list[list[str]]:
        with Ledger(tmp_path / "ledger") as ledger:
            return [[entry.key for entry in entries] for _, entries in shards(Keys(store), ledger)]

    assert found() == [["00", "02", "04"], ["06", "08", "10"], ["12"]]
    for key in ("03", "05", "99"):
        store.put(key, b"y")
    del store.objects["06"], store.objects["12"]
    assert found() == [["00", "02", "03", "04"], ["05", "08", "10"], [], ["99"]]


@pytest.mark.parametrize(
    "objects_per_second, read_bytes_per_second, size, seconds_each",
    [(8, None, 64, 1 / 8), (None, 1024, 512, 1 / 2), (8, 1024, 64, 1 / 8), (8, 1024, 512, 1 / 2), (4, 1024, 256, 0.25)],
)
def test_one_wait_is_enough_whichever_cap_causes_it(
    objects_per_second: int | None, read_bytes_per_second: int | None, size: int, seconds_each: Any
) -> None:
    """The times are sums of powers of two, which a float represents exactly."""
    now = [0.0]
    rate_limit = RateLimit(objects_per_second, read_bytes_per_second, clock=lambda: now[0])
    starts = []
    for _ in range(40):
        if not rate_limit.try_acquire(size):
            now[0] += rate_limit.wait_seconds(3600)
            assert rate_limit.try_acquire(size)
        starts.append(now[0])

    assert starts == [n * seconds_each for n in range(40)]


def test_at_most_one_second_of_an_unused_cap_can_be_used_at_once() -> None:
    now = [0.0]
    rate_limit = RateLimit(8, 1024, clock=lambda: now[0])
    now[0] += 100
    starts = [now[0]] * 100
    assert [rate_limit.try_acquire(64) for _ in starts].count(True) == 9

    now[0] += rate_limit.wait_seconds(3600)
    assert rate_limit.try_acquire(64)


def test_a_wait_is_never_longer_than_its_maximum() -> None:
    now = [0.0]
    rate_limit = RateLimit(1, 1, clock=lambda: now[0])
    assert rate_limit.wait_seconds(0.25) == 0.25  # no cap prevents the next object
    assert rate_limit.try_acquire(100)
    assert rate_limit.wait_seconds(0.25) == 0.25
    now[0] += 99.875
    assert rate_limit.wait_seconds(0.25) == 0.125


def test_throttling_halves_the_slots_and_successes_restore_them() -> None:
    rate_limit = RateLimit()
    rate_limit.record_throttling(8)
    assert rate_limit.slots == 4 and rate_limit.reason
    rate_limit.record_throttling(8)
    assert rate_limit.slots == 2
    for _ in range(20 * 70):
        rate_limit.record_success()
    assert rate_limit.slots > 1000 and not rate_limit.reason


def test_a_repeated_dry_run_writes_nothing_and_samples_the_same_objects(tmp_path: Path) -> None:
    files = {f"{n:02d}.jpg": jpeg(n) for n in range(20)}
    store = Memory(files)
    job = Job(source="a", target="a", settings=Settings(quality=60, effort=Effort.FAST))
    sizes = []
    for _ in range(2):
        engine = Inline(job, store, store)
        dry_run = DryRun(engine, Keys(store), Filters(), 8)
        assert dry_run.run(lambda: False, lambda progress: None)
        assert {what for what, _ in engine.log} == {"prepare"} and len(engine.log) == 8
        assert (dry_run.objects, dry_run.size) == (20, sum(map(len, files.values())))
        assert all(saved > 0 for _, saved in dry_run.sample)
        sizes.append(dry_run.sample)
        engine.close()
    assert sizes[0] == sizes[1] and store.data() == files
