"""Runs on a folder and on a bucket of S3 that give results other keys: killed at each write, and restored."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from compressor.batch import api
from compressor.batch.request import Request, facts_of
from compressor.batch.restore import restore
from compressor.cli.app import app
from compressor.ledger.ledger import Ledger
from compressor.sniff import sniff
from compressor.stores.contract import Store
from compressor.stores.open import open_store
from tests import ROOT
from tests.batch.renaming import IN_PLACE, run_killed_at
from tests.batch.support import GLOB, Inline, jpeg, png, run_of
from tests.batch.test_kills import BATCH, contents, fill, kill_at, leftovers
from tests.stores.s3_servers import Server, moto_server

FILES = {"a.jpg": jpeg(1), "a.png": png(1), "b/c.JPG": jpeg(2), "b/taken.jpg": jpeg(3), "b/taken.webp": b"a picture"}
RESULTS = {"a.webp", "a.png", "b/c.WEBP", "b/taken.jpg", "b/taken.webp"}
HEADERS = {
    "ContentType": "image/jpeg",
    "CacheControl": "public, max-age=31536000",
    "ContentDisposition": 'inline; filename="a b.jpg"',
    "StorageClass": "STANDARD_IA",
    "Metadata": {"owner": "me"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moto_server() as running:
        yield running


@pytest.fixture
def bucket(server: Server) -> str:
    return filled(server)


def filled(server: Server) -> str:
    name = server.bucket()
    more = {"Tagging": "team=a", "ACL": "public-read", **HEADERS}
    for key, data in FILES.items():
        server.client.put_object(Bucket=name, Key=f"in/{key}", Body=data, **more)
    return name


def stored(server: Server, bucket: str, prefix: str = "in/") -> dict[str, bytes]:
    keys = [item["Key"] for item in server.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {key.removeprefix(prefix): server.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def carried(server: Server, bucket: str, key: str) -> dict[str, Any]:
    """Return the attributes of an object, its tags and its ACL."""
    found = server.client.head_object(Bucket=bucket, Key=f"in/{key}")
    tags = server.client.get_object_tagging(Bucket=bucket, Key=f"in/{key}")["TagSet"]
    grants = server.client.get_object_acl(Bucket=bucket, Key=f"in/{key}")["Grants"]
    acl = sorted((grant["Permission"], grant["Grantee"].get("URI", "")) for grant in grants)
    return {name: found.get(name) for name in HEADERS} | {"tags": tags, "acl": acl}


@pytest.mark.parametrize("versioned", [False, True])
def test_results_in_a_bucket_keep_all_attributes_but_the_content_type(
    versioned: bool, server: Server, bucket: str, tmp_path: Path
) -> None:
    if versioned:
        server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    job = dataclasses.replace(IN_PLACE, source=f"s3://{bucket}/in", target=f"s3://{bucket}/in")
    before = carried(server, bucket, "a.jpg")
    assert ("READ", "http://acs.amazonaws.com/groups/global/AllUsers") in before["acl"]
    store = open_store(job.source)

    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", filters=GLOB)

    assert totals == {("compressed", ""): 2, ("skipped", "key_taken"): 2, ("kept", "not_an_image"): 1}
    now = stored(server, bucket)
    assert now.keys() == RESULTS | {"kept/a.jpg", "kept/b/c.JPG"}
    assert sniff(now["a.webp"]) == "webp" and now["kept/a.jpg"] == FILES["a.jpg"]
    assert carried(server, bucket, "a.webp") == before | {"ContentType": "image/webp"}
    if versioned:
        versions = server.client.list_object_versions(Bucket=bucket, Prefix="in/a.jpg")
        assert len(versions["Versions"]) == 1 and len(versions["DeleteMarkers"]) == 1
        assert any("deleted objects stay as versions" in notice for notice in store.notices)
    _, again, engine = run_of(job, store, store, tmp_path / "ledger", filters=GLOB)
    assert again == totals and engine.log == []

    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts_of(Request(job=job)))
        tally, completed = restore(ledger, store)
    assert (completed, tally.objects, tally.failed) == (True, 2, 0)
    assert stored(server, bucket) == FILES and carried(server, bucket, "a.jpg") == before


Place = tuple[Store, Callable[[], dict[str, bytes]]]  # and a function that returns its content


def folder_in(tmp_path: Path, number: int) -> Place:
    folder = tmp_path / f"folder {number}"
    for key, data in FILES.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(data)
    return open_store(str(folder)), lambda: contents(folder)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_run_killed_at_any_write_ends_as_an_undisturbed_one(
    kind: str, after: bool, server: Server, tmp_path: Path
) -> None:
    def place(number: int) -> Place:
        if kind == "folder":
            return folder_in(tmp_path, number)
        name = filled(server)
        return open_store(f"s3://{name}/in"), lambda: stored(server, name)

    store, content = place(-1)
    job = dataclasses.replace(IN_PLACE, source=store.url, target=store.url)
    _, totals, _ = run_of(job, store, store, tmp_path / "undisturbed", filters=GLOB)
    expected, at, killed = content(), 0, True
    assert expected.keys() == RESULTS | {"kept/a.jpg", "kept/b/c.JPG"}
    while killed:
        store, content = place(at)
        job = dataclasses.replace(IN_PLACE, source=store.url, target=store.url)
        killed = run_killed_at(job, store, tmp_path / f"ledger {at}", at, after)

        _, found, _ = run_of(job, store, store, tmp_path / f"ledger {at}", filters=GLOB)

        assert content() == expected and found == totals, at
        at += 1
    assert at == 7  # two copies, two new objects, two deletions


OPTIONS = ["--in-place", "--quality", "60", "--format", "webp", "--rename", "suffix", "--workers", "2", "--json"]


def start(source: str, keep: str, ledger: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*BATCH, source, *OPTIONS, "--keep-originals", keep, "--ledger", str(ledger)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip


def finish(source: str, keep: str, ledger: Path) -> dict[str, Any]:
    process = start(source, keep, ledger)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 1  # a file that is cut off
    summary: dict[str, Any] = json.loads(out)
    return summary


def test_a_killed_process_ends_as_an_undisturbed_one_and_can_be_restored(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    files = fill(folder, 20)
    fill(other, 20)
    expected = finish(str(other), str(other / "kept"), tmp_path / "other.ledger")
    rng, ledger, kills = random.Random(5), tmp_path / "ledger", 0
    for number in range(3):
        process = start(str(folder), str(folder / "kept"), ledger)
        kills += kill_at(process, folder / "kept", number * 5 + rng.randint(1, 4), rng.random() * 0.02)
    assert kills

    found = finish(str(folder), str(folder / "kept"), ledger)

    assert contents(folder) == contents(other) and leftovers(folder) == []
    names = ("objects", "bytes_in", "bytes_out", "failed", "format_changes")
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}
    assert expected["format_changes"][0]["objects"] == 20
    back = subprocess.run(
        [sys.executable, "-m", "compressor.cli", "ledger", "restore", str(ledger), "--json"],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=300, check=True,
    )  # fmt: skip
    assert json.loads(back.stdout)["objects"] == sum(path.startswith("kept/") for path in contents(other))
    assert contents(folder) == files


def test_a_configuration_and_the_environment_name_the_format_and_the_rule_for_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(jpeg(1))
    (tmp_path / "c.toml").write_text('format = "webp"\nquality = 60\n')
    monkeypatch.setattr(api, "engine_for", lambda request, server: Inline(request.job))

    words = ["--config", "c.toml", "batch", "in", "--in-place", "--discard-originals", "--ledger", "l"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2 and "--rename must be suffix" in refused.stderr
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.jpg"] and not (tmp_path / "l").exists()

    monkeypatch.setenv("COMPRESSOR_RENAME", "suffix")
    found = CliRunner().invoke(app, [*words, "--report", "r.html"])
    assert found.exit_code == 0 and "JPEG → WebP" in found.stdout
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["a.webp"]
    assert "Formats that changed" in (tmp_path / "r.html").read_text()

    monkeypatch.setenv("COMPRESSOR_RENAME", "keep")
    other = CliRunner().invoke(app, ["batch", "in", "out", "--format", "png", "--ledger", "l"])
    assert other.exit_code == 1 and "belongs to another run (" in other.stderr
