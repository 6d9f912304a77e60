"""Runs on a bucket of S3: moto's server in this process, checked with boto3."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from compressor.batch.job import Job
from compressor.batch.restore import restore
from compressor.ledger.ledger import Ledger
from compressor.settings import Settings
from compressor.stores.contract import Attributes, Body, Entry, Precondition, Store
from compressor.stores.filters import Filters
from compressor.stores.open import open_store
from tests.batch.support import jpeg, png, run_of

HEADERS = {
    "ContentType": "image/jpeg",
    "CacheControl": "public, max-age=31536000",
    "ContentDisposition": 'inline; filename="a b.jpg"',
    "ContentLanguage": "de",
    "StorageClass": "STANDARD_IA",
    "Metadata": {"owner": "me", "x-y": "1"},
}
FILES = {f"in/{name}": jpeg(n) for n, name in enumerate(["a b.jpg", "ü/😀.jpg", "plus+%41#?.jpg", "deep/er/c.jpg"])}
FILES |= {"in/flat.png": png(2), "in/text.txt": b"text", "in/empty": b"", "in/broken.jpg": jpeg(1)[:600]}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, str]]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": server,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=server)
    name = f"bucket-{os.urandom(4).hex()}"
    client.create_bucket(Bucket=name)
    for key, data in FILES.items():
        client.put_object(Bucket=name, Key=key, Body=data, Tagging="team=a&kind=photo", **HEADERS)
    yield client, name
    client.close()


def contents(client: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def carried(client: Any, bucket: str, key: str) -> dict[str, Any]:
    found = client.head_object(Bucket=bucket, Key=key)
    tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {name: found.get(name) for name in HEADERS} | {"tags": sorted((tag["Key"], tag["Value"]) for tag in tags)}


def test_a_copy_has_all_attributes_and_tags(bucket: Any, tmp_path: Path) -> None:
    client, name = bucket
    job = Job(source=f"s3://{name}/in", target=f"s3://{name}/out/", settings=Settings(min_saving=0.05))

    _, totals, _ = run_of(job, open_store(job.source), open_store(job.target), tmp_path / "ledger")

    assert totals == {
        ("compressed", ""): 5, ("copied", "not_an_image"): 1, ("copied", "empty"): 1, ("failed", "broken_image"): 1,
    }  # fmt: skip
    out = contents(client, name, "out/")
    assert {key.replace("out/", "in/", 1) for key in out} == FILES.keys()
    for key, data in out.items():
        source = key.replace("out/", "in/", 1)
        assert carried(client, name, key) == carried(client, name, source)
        assert len(data) < len(FILES[source]) or data == FILES[source]
    assert contents(client, name, "in/") == FILES


def test_objects_are_replaced_in_place_and_restored(bucket: Any, tmp_path: Path) -> None:
    client, name = bucket
    job = Job(
        source=f"s3://{name}/in", target=f"s3://{name}/in", in_place=True, keep="kept/",
        settings=Settings(quality=60, min_saving=0.05),
    )  # fmt: skip
    before = {key: carried(client, name, key) for key in FILES}
    store = open_store(job.source)

    _, totals, _ = run_of(job, store, store, tmp_path / "ledger", filters=Filters(excluded_prefixes=("kept/",)))

    assert totals["compressed", ""] == 5
    now = contents(client, name, "in/")
    replaced = {key for key in FILES if now[key] != FILES[key]}
    assert len(replaced) == 5
    for key in FILES:
        assert carried(client, name, key) == before[key]
    assert {key: now["in/kept/" + key.removeprefix("in/")] for key in replaced} == {key: FILES[key] for key in replaced}

    facts = {"mode": "in place", "keep": str(job.keep)}
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts)
        tally, completed = restore(ledger, store)
    assert (completed, tally.objects, tally.failed) == (True, 5, 0)
    assert contents(client, name, "in/") == FILES
    assert {key: carried(client, name, key) for key in FILES} == before


def test_a_versioned_bucket_keeps_old_versions_and_causes_a_notice(bucket: Any, tmp_path: Path) -> None:
    client, name = bucket
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    job = Job(source=f"s3://{name}/in", target=f"s3://{name}/in", in_place=True, settings=Settings(quality=60))
    store = open_store(job.source)

    _, totals, _ = run_of(job, store, store, tmp_path / "ledger")

    assert totals["compressed", ""] == 5
    assert any("version" in notice for notice in store.notices)
    versions = client.list_object_versions(Bucket=name, Prefix="in/a b.jpg")["Versions"]
    assert len(versions) == 2


def test_a_concurrent_write_wins(bucket: Any, tmp_path: Path) -> None:
    client, name = bucket
    job = Job(source=f"s3://{name}/in", target=f"s3://{name}/in", in_place=True, settings=Settings(quality=60))
    store = open_store(job.source)

    class Busy:
        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, what: str) -> Any:
            return getattr(self._store, what)

        def write(self, key: str, body: Body, attributes: Attributes, only: Precondition | None) -> Entry:
            if key == "a b.jpg":
                client.put_object(Bucket=name, Key="in/a b.jpg", Body=b"newer")
            return self._store.write(key, body, attributes, only)

    busy: Any = Busy(store)
    _, totals, _ = run_of(dataclasses.replace(job), busy, busy, tmp_path / "ledger")

    assert totals["skipped", "changed"] == 1
    assert contents(client, name, "in/a b.jpg") == {"in/a b.jpg": b"newer"}
