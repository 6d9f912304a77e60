"""Which objects a run is about, and how fast they may begin."""

import csv
import gzip
import io
import itertools
import json

import pyarrow
import pyarrow.parquet
import pytest

from compressor.batch import plan
from compressor.batch.job import Done, Job, Outcome
from compressor.batch.ledger import Ledger, LedgerError
from compressor.batch.pace import Pace
from compressor.batch.plan import Filters, Keys, Manifest, seconds_of, shards
from compressor.batch.store import Entry
from compressor.batch.trial import Trial
from compressor.settings import Settings
from tests.batch.support import Inline, Memory, jpeg

ROWS = [("pre/a b.jpg", 10, "e1"), ("pre/ü\n.jpg", 20, "e2"), ("other/c.jpg", 30, "e3"), ("pre/folder/", 0, "e4")]
MEANT = [Entry("a b.jpg", 10, "e1"), Entry("ü\n.jpg", 20, "e2")]


def listed(url: str) -> list[Entry]:
    return [entry for _, entry in Manifest(url, "pre/").entries("")]


def as_csv(header: list[str] | None, rows=ROWS) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows([header] if header else [])
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("header", [None, ["key", "size", "etag"], ["Key", "Size", "ETag"]])
def test_a_csv_lists_objects(header, tmp_path):
    (tmp_path / "list.csv").write_bytes(as_csv(header))
    (tmp_path / "list.csv.gz").write_bytes(gzip.compress(as_csv(header)))

    assert listed(f"{tmp_path}/list.csv") == listed(f"{tmp_path}/list.csv.gz") == MEANT


def test_a_csv_of_keys_alone_is_enough(tmp_path):
    (tmp_path / "list.csv").write_text("key\npre/a.jpg\n")

    assert listed(f"{tmp_path}/list.csv") == [Entry("a.jpg", 0, "")]


def test_a_parquet_file_lists_objects(tmp_path):
    table = pyarrow.table({name: [row[at] for row in ROWS] for at, name in enumerate(("key", "size", "etag"))})
    pyarrow.parquet.write_table(table, tmp_path / "list.parquet")

    assert listed(f"{tmp_path}/list.parquet") == MEANT


def test_an_inventory_lists_objects_with_its_files_beside_it(tmp_path):
    rows = [("bucket", key.replace(" ", "+").replace("ü\n", "%C3%BC%0A"), size, etag) for key, size, etag in ROWS]
    (tmp_path / "1.csv.gz").write_bytes(gzip.compress(as_csv(None, rows[:1])))
    (tmp_path / "2.csv.gz").write_bytes(gzip.compress(as_csv(None, rows[1:])))
    manifest = {
        "sourceBucket": "bucket", "destinationBucket": "arn:aws:s3:::lists", "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [{"key": "x/data/1.csv.gz", "size": 1}, {"key": "x/data/2.csv.gz", "size": 1}],
    }  # fmt: skip
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    assert listed(f"{tmp_path}/manifest.json") == MEANT


@pytest.mark.parametrize("content", ["{}", "[1]", '{"files": 1}'])
def test_what_is_no_inventory_is_refused(content, tmp_path):
    (tmp_path / "manifest.json").write_text(content)

    with pytest.raises(LedgerError, match="no manifest of an S3 inventory"):
        listed(f"{tmp_path}/manifest.json")


def test_a_row_without_a_size_that_is_one_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text("key,size\na,b\n")

    with pytest.raises(LedgerError, match="row 2"):
        listed(f"{tmp_path}/list.csv")


@pytest.mark.parametrize(
    "filters, meant",
    [
        (Filters(), "abcd"),
        (Filters(include=("*.jpg",)), "ab"),
        (Filters(exclude=("x/*",)), "ad"),
        (Filters(include=("*.jpg",), exclude=("x/*",)), "a"),
        (Filters(but=("x/",)), "ad"),
        (Filters(size_min=20), "bcd"),
        (Filters(size_max=20), "ab"),
        (Filters(older_than=70), "a"),
        (Filters(newer_than=70), "bcd"),
    ],
    ids=str,
)
def test_filters(filters, meant):
    entries = [
        Entry("a.jpg", 10, "", 900), Entry("x/b.jpg", 20, "", 940), Entry("x/c.png", 30, "", 950),
        Entry("d", 40, "", 960),
    ]  # fmt: skip
    assert "".join(entry.key.rpartition("/")[2][0] for entry in entries if filters.match(entry, 1000)) == meant


def test_ages():
    assert [seconds_of(age) for age in ("10s", "2m", "1.5h", "3d", "2w")] == [10, 120, 5400, 259200, 1209600]
    for wrong in ("", "3", "d", "-1d", "3y"):
        with pytest.raises(ValueError, match="is not an age"):
            seconds_of(wrong)


def test_shards_stay_when_the_bucket_changes(tmp_path, monkeypatch):
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


def test_caps_hold():
    now = [0.0]
    pace = Pace(10, 1000, clock=lambda: now[0])
    began = []
    while now[0] < 10:
        if pace.may(50 if len(began) < 50 else 500):
            began.append(now[0])
        else:
            now[0] += max(0.001, pace.wait(0.2))
    assert 50 <= len(began) <= 50 + 12 + 2  # ten a second, then two a second, and the burst
    assert all(later >= earlier for earlier, later in itertools.pairwise(began))
    assert began[49] == pytest.approx(4, abs=1.1)


def test_throttling_halves_what_is_under_way_and_it_comes_back():
    pace = Pace()
    pace.throttled(8)
    assert pace.slots == 4 and pace.reason
    pace.throttled(8)
    assert pace.slots == 2
    for _ in range(20 * 70):
        pace.went_well()
    assert pace.slots > 1000 and not pace.reason


def test_a_dry_run_writes_nothing_and_draws_the_same_objects_again(tmp_path):
    files = {f"{n:02d}.jpg": jpeg(n) for n in range(20)}
    store = Memory(files)
    job = Job(source="a", target="a", settings=Settings(quality=60, effort="fast"))
    sizes = []
    for _ in range(2):
        engine = Inline(job, store, store)
        trial = Trial(engine, Keys(store), Filters(), 8)
        assert trial.run(lambda: False, lambda progress: None)
        assert {what for what, _ in engine.log} == {"prepare"} and len(engine.log) == 8
        assert (trial.objects, trial.size) == (20, sum(map(len, files.values())))
        assert all(saved > 0 for _, saved in trial.sample)
        sizes.append(trial.sample)
        engine.close()
    assert sizes[0] == sizes[1] and store.data() == files


def test_a_line_of_a_part_comes_back_as_it_was():
    from compressor.batch.ledger import as_line, from_line

    done = Done(
        key="a\n\udcff",
        etag="e",
        size=0,
        outcome=Outcome.KEPT,
        notices=("x",),
        stage_seconds={"decode": 1.5},
        retry=True,
    )
    assert from_line(as_line(done)) == done
