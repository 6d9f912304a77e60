"""Failures that a run has reported before: distinguished, and accepted on request."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compressor.batch import api as launching
from compressor.batch.api import launch
from compressor.batch.job import Job
from compressor.batch.request import Request
from compressor.cli.app import app
from compressor.ledger.errors import LedgerHeldError
from compressor.ledger.ledger import Ledger
from compressor.ledger.records import ObjectOutcome, ObjectResult
from compressor.ledger.status import status
from compressor.report.summary import Summary
from compressor.settings import Effort, Settings
from compressor.stores.contract import Entry, OnAccessDenied, Store, StoreError, StoreErrorKind
from compressor.stores.filters import Filters
from compressor.stores.open import open_store
from tests.batch.support import Faulty, Inline, Memory, jpeg

FILES = {"a.jpg": jpeg(1), "broken.jpg": jpeg(2)[:900], "sub/broken\n.jpg": jpeg(3)[:800], "text.txt": b"text"}
JOB = Job(source="memory-a", target="memory-b", settings=Settings(min_saving=0.05, effort=Effort.FAST))


class Bench:
    """Runs of one ledger on stores in memory."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "ledger"
        self.source, self.target = Memory(FILES), Memory()
        self.throttled = self.denied = ""  # keys
        stores: dict[str, Store] = {JOB.source: Faulty(self.source, self._fault), JOB.target: self.target}
        monkeypatch.setattr(launching, "open_store", lambda url, conditional_bytes=0, probed=False: stores[url])
        monkeypatch.setattr(
            launching, "engine_for", lambda request, server: Inline(JOB, stores[JOB.source], stores[JOB.target])
        )
        monkeypatch.setattr("compressor.batch.run.BACK_OFF_SECONDS", 0.0)

    def _fault(self, what: str, key: str) -> str:
        if what != "open":
            return ""
        return "throttled" if key == self.throttled else "denied" if key == self.denied else ""

    def run(self, accept: bool = True, **more: Any) -> Summary:
        return launch(Request(job=JOB, ledger=self.path, accept_failures=accept), **more)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def known(summary: Summary) -> dict[str, bool]:
    return {problem.key: problem.known for problem in summary.problems}


def stop_after(polls: int) -> Callable[[], bool]:
    """Return a `should_stop` that is true after `polls` polls: the first prepares objects, the second writes them."""
    polled = itertools.count()
    return lambda: next(polled) >= polls


def test_a_failure_is_new_in_one_run_and_known_in_later_ones(bench: Bench) -> None:
    first = bench.run()
    assert (first.failed, first.new_failures, first.succeeded) == (2, 2, False)
    assert known(first) == {"broken.jpg": False, "sub/broken\n.jpg": False}

    for _ in range(2):
        again = bench.run()
        assert (again.failed, again.new_failures, again.succeeded) == (2, 0, True)
        assert again.known_failures == {"broken_image": 2}
        assert known(again) == {"broken.jpg": True, "sub/broken\n.jpg": True}
        assert not bench.run(accept=False).succeeded


def test_a_run_that_does_not_accept_failures_still_makes_them_known(bench: Bench) -> None:
    bench.run(accept=False)

    assert bench.run().succeeded


def test_a_new_failure_among_known_ones_fails_the_run_and_is_listed_first(bench: Bench) -> None:
    bench.run()
    bench.source.put("z.jpg", jpeg(9)[:700])

    found = bench.run()
    assert (found.failed, found.new_failures, found.succeeded) == (3, 1, False)
    assert found.problems[0].key == "z.jpg" and known(found)["broken.jpg"]
    assert bench.run().succeeded


def test_a_changed_object_that_is_still_broken_is_a_new_failure(bench: Bench) -> None:
    bench.run()
    bench.source.put("broken.jpg", jpeg(2)[:950])
    del bench.target.objects["broken.jpg"]

    found = bench.run()
    assert known(found) == {"broken.jpg": False, "sub/broken\n.jpg": True} and not found.succeeded
    assert bench.run().succeeded


def test_a_repaired_object_no_longer_fails(bench: Bench) -> None:
    bench.run()
    bench.source.put("broken.jpg", jpeg(2))
    del bench.target.objects["broken.jpg"]

    found = bench.run()
    assert (found.failed, found.succeeded, known(found)) == (1, True, {"sub/broken\n.jpg": True})


@pytest.mark.parametrize("more", [{}, {"z.jpg": jpeg(9)}], ids=["nothing else", "and a new object"])
def test_a_removed_object_no_longer_fails(bench: Bench, more: dict[str, bytes]) -> None:
    bench.run()
    del bench.source.objects["broken.jpg"]
    for key, data in more.items():
        bench.source.put(key, data)

    for _ in range(2):
        found = bench.run()
        assert (found.failed, found.new_failures, found.succeeded) == (1, 0, True)
        assert known(found) == {"sub/broken\n.jpg": True} and found.objects == 3 + len(more)
    assert [json.loads(line)["key"] for line in lines("failures", bench.path, "--json")] == ["sub/broken\n.jpg"]


def test_a_failure_that_a_filter_leaves_out_or_in_a_folder_that_cannot_be_listed_stays_known(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run()
    request = Request(job=JOB, ledger=bench.path, accept_failures=True, filters=Filters(exclude=("*broken*",)))
    assert launch(request).failed == 2

    def entries(refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        assert refused is not None
        refused("sub/", StoreError(StoreErrorKind.DENIED, "Permission denied"))
        return (entry for entry in Memory.entries(bench.source) if not entry.key.startswith("sub/"))

    monkeypatch.setattr(bench.source, "entries", entries)
    assert known(bench.run()) == {"sub/": False, "broken.jpg": True, "sub/broken\n.jpg": True}


@pytest.mark.parametrize("kind", ["throttled", "denied"])
def test_a_failure_that_every_run_retries_is_never_known(kind: str, bench: Bench) -> None:
    setattr(bench, kind, "a.jpg")
    for _ in range(3):
        found = bench.run()
        assert not known(found)["a.jpg"] and not found.succeeded
        assert kind not in found.known_failures
    setattr(bench, kind, "")
    assert bench.run().succeeded


def test_failures_of_an_interrupted_run_stay_new(bench: Bench) -> None:
    assert bench.run(should_stop=stop_after(2)).interrupted
    assert status(bench.path).finished is None
    found = bench.run()
    assert found.new_failures == 2 and not found.succeeded
    assert status(bench.path).finished == found.ended


def test_a_folder_that_cannot_be_listed_is_never_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def entries(refused: OnAccessDenied | None = None) -> Iterator[Entry]:
        assert refused is not None
        refused("private/", StoreError(StoreErrorKind.DENIED, "Permission denied"))
        return Memory.entries(bench.source)

    monkeypatch.setattr(bench.source, "entries", entries)
    for _ in range(2):
        found = bench.run()
        assert not known(found)["private/"] and not found.succeeded


def test_a_nightly_job_fails_once_for_each_new_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the command's exit code and the time of its last success, night by night."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        launching, "engine_for", lambda request, server: Inline(request.job, open_store("in"), open_store("out"))
    )
    (tmp_path / "in").mkdir()
    (tmp_path / "in/text.txt").write_bytes(b"text")

    def night(*words: str) -> tuple[int, int, float, dict[str, float]]:
        """Return exit code, new failures, last success and accepted failures by reason."""
        more = ["--ledger", "l", "--metrics-textfile", "run.prom", "--json", *words]
        found = CliRunner().invoke(app, ["batch", "in", "out", *more])
        values = dict(line.rsplit(" ", 1) for line in (tmp_path / "run.prom").read_text().splitlines())
        accepted = {
            name.split('"')[1]: float(value)
            for name, value in values.items()
            if name.startswith("compressor_batch_accepted_failures{")
        }
        success = float(values.get("compressor_batch_last_success_timestamp_seconds", 0))
        return found.exit_code, json.loads(found.stdout)["new_failures"], success, accepted

    code, new, first, accepted = night("--accept-failures")
    assert (code, new, accepted) == (0, 0, {}) and first > 0

    (tmp_path / "in/broken.jpg").write_bytes(jpeg(1)[:700])
    assert night("--accept-failures") == (1, 1, first, {"broken_image": 0})
    code, new, second, accepted = night("--accept-failures")
    assert (code, new, accepted) == (0, 0, {"broken_image": 1}) and second > first

    assert night() == (1, 0, second, {"broken_image": 0})

    (tmp_path / "in/another.jpg").write_bytes(jpeg(2)[:700])
    assert night("--accept-failures") == (1, 1, second, {"broken_image": 1})
    code, new, third, accepted = night("--accept-failures")
    assert (code, new, accepted) == (0, 0, {"broken_image": 2}) and third > second


# --- the commands ----------------------------------------------------------------------------------------------------


def lines(*words: object) -> list[str]:
    found = CliRunner().invoke(app, ["ledger", *map(str, words)])
    assert found.exit_code == 0 and not found.stderr, found.stderr
    return found.stdout.splitlines()


def test_all_failures_are_listed_as_text_and_as_json(bench: Bench, tmp_path: Path) -> None:
    bench.run()
    bench.source.put("z.jpg", jpeg(9)[:700])
    bench.run()
    bench.source.put("zz.jpg", jpeg(9)[:600])
    assert bench.run(should_stop=stop_after(2)).interrupted

    listed = [json.loads(line) for line in lines("failures", bench.path, "--json")]
    assert [(line["key"], line["reason"], line["known"]) for line in listed] == [
        ("broken.jpg", "broken_image", True),
        ("sub/broken\n.jpg", "broken_image", True),
        ("z.jpg", "broken_image", True),
        ("zz.jpg", "broken_image", False),
    ]
    assert all(line["error"].startswith("JPEG: ") and line["etag"] and line["size"] for line in listed)
    table = lines("failures", bench.path)
    assert table[1].split() == ["known", "broken", "image", "broken.jpg"] and "JPEG: " in table[2]
    assert table[3].startswith("known") and "\\n" in table[3]
    assert table[-4].strip().startswith("JPEG: ") and table[-3] == "4 failed, 3 of them known"
    assert "an object is tried again once it has changed" in table[-2] and "--accept-failures" in table[-1]


def test_a_ledger_without_failures_says_so(bench: Bench) -> None:
    for key in ("broken.jpg", "sub/broken\n.jpg"):
        del bench.source.objects[key]
    bench.run()

    assert lines("failures", bench.path) == ["nothing failed"]


@pytest.mark.parametrize("kind", ["throttled", "denied"])
def test_failures_that_every_run_tries_again_are_said_to_be(kind: str, bench: Bench) -> None:
    setattr(bench, kind, "a.jpg")
    bench.run()

    steps = [line for line in lines("failures", bench.path) if line.startswith("  next")]
    assert len(steps) == 3 and "repeat the batch command: it tries 1 again" in steps[0]


def test_an_object_with_an_open_intent_is_listed_as_a_failure(bench: Bench) -> None:
    bench.run()
    with Ledger(bench.path) as ledger:
        (shard,) = ledger.shards()
        ledger.reopen(shard)
        ledger.intend(
            shard.number, ObjectResult(key="a.jpg", etag="e", size=9, outcome=ObjectOutcome.COMPRESSED, digest="d")
        )

    listed = {line["key"]: line for line in map(json.loads, lines("failures", bench.path, "--json"))}
    assert (listed["a.jpg"]["reason"], listed["a.jpg"]["known"]) == ("unavailable", False)
    found = json.loads(lines("status", bench.path, "--json")[0])
    assert (found["open_intents"], found["failed"], found["new_failures"]) == (1, 3, 1)


def test_the_status_shows_the_run_and_its_progress(bench: Bench) -> None:
    bench.run()
    summary = bench.run()

    found = json.loads(lines("status", bench.path, "--json")[0])
    assert (found["source"], found["target"], found["mode"], found["keep"]) == ("memory-a", "memory-b", "copy", "")
    assert found["settings"]["effort"] == "fast" and found["settings"]["min_saving"] == 0.05
    assert (found["objects"], found["failed"], found["new_failures"]) == (4, 2, 0)
    assert (found["finished"], found["shards"], found["shards_done"]) == (summary.ended, 1, 1)
    assert (found["restored"], found["open_intents"]) == ("no", 0)
    by_outcome = {(total["outcome"], total["reason"]): total["objects"] for total in found["totals"]}
    assert by_outcome == {
        ("compressed", ""): 1,
        ("copied", "not_an_image"): 1,
        ("failed", "broken_image"): 2,
    }
    assert {(total.outcome, total.reason): total.objects for total in summary.totals} == by_outcome
    text = "\n".join(lines("status", bench.path))
    words = ("memory-a", "memory-b", "effort fast", "4 objects", "failed: broken image", "0 of them new")
    for word in (*words, f"next compressor ledger failures {bench.path} lists what failed"):
        assert word in " ".join(text.split())


def test_reading_a_ledger_leaves_no_trace_and_reports_a_run_that_holds_it(bench: Bench, tmp_path: Path) -> None:
    bench.run()
    copy = tmp_path / "killed"
    with Ledger(bench.path) as ledger:
        ledger.set_fact("x", "y")
        ledger.commit()
        for command in ("status", "failures"):
            found = CliRunner().invoke(app, ["ledger", command, str(bench.path)])
            assert found.exit_code == 1 and found.stderr == f"compressor: {bench.path} is in use by a run\n"
        with pytest.raises(LedgerHeldError):
            status(bench.path)
        shutil.copytree(ledger.parts, tmp_path / "killed.parts")
        for end in ("", "-wal"):
            shutil.copy(f"{bench.path}{end}", f"{copy}{end}")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.name for path in before} == {"ledger", "killed", "killed-wal", "00000001.jsonl.gz"}

    for path in (bench.path, copy):
        assert len(lines("failures", path, "--json")) == 2
        assert json.loads(lines("status", path, "--json")[0])["failed"] == 2

    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
