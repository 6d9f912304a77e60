"""The command on a real S3 server, Ceph's gateway: in place, killed repeatedly, and restored."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compressor.stores.markers import MARKER
from tests import ROOT
from tests.batch import mixed
from tests.batch.test_scenarios import Objects, assert_as_expected, batch, command
from tests.stores.rgw import rados_gateway
from tests.stores.s3_servers import Server

pytestmark = pytest.mark.heavy

COUNT = 2000
KILLS = 50
CARRIED = {
    "ContentType": "image/x-any",
    "CacheControl": "public, max-age=31536000",
    "ContentDisposition": 'inline; filename="a b.jpg"',
    "ContentEncoding": "identity",
    "ContentLanguage": "de",
    "Metadata": {"owner": "me", "number": "7"},
}
TAGS = {"team": "photo", "kind": "original"}


def filled(server: Server, bucket: str, count: int) -> Objects:
    """Put mixed objects into a bucket, below in/, each with every attribute that an object can have."""

    def put(item: tuple[str, bytes, str]) -> tuple[str, tuple[bytes, str]]:
        key, data, expected = item
        server.client.put_object(Bucket=bucket, Key=f"in/{key}", Body=data, **CARRIED)
        server.client.put_object_tagging(
            Bucket=bucket, Key=f"in/{key}", Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in TAGS.items()]}
        )
        return key, (data, expected)

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(put, mixed.mixed(count)))


def found(server: Server, bucket: str, prefix: str) -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Return bytes and attributes of all objects below a prefix."""
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]

    def get(key: str) -> tuple[str, tuple[bytes, dict[str, Any]]]:
        answer = server.client.get_object(Bucket=bucket, Key=key)
        tags = server.client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        carried = {name: answer.get(name) for name in CARRIED} | {"tags": {tag["Key"]: tag["Value"] for tag in tags}}
        return key.removeprefix(prefix), (answer["Body"].read(), carried)

    with ThreadPoolExecutor(8) as pool:
        return dict(pool.map(get, keys))


def start_and_kill(words: list[str], after: float) -> bool:
    """Start a run, then kill it and its workers; return False if it ended before."""
    process = subprocess.Popen(
        [sys.executable, "-m", "compressor.cli", "batch", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(after)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def replace_and_restore_despite_kills(tmp_path: Path, count: int, kills: int) -> None:
    with rados_gateway() as server:
        bucket, rng = server.bucket(), random.Random(3)
        objects = filled(server, bucket, count)
        words = [f"s3://{bucket}/in", "--in-place", "--keep-originals", "kept", "--ledger", str(tmp_path / "ledger")]

        started = time.monotonic()
        undisturbed_summary = batch(
            f"s3://{bucket}/in", f"s3://{bucket}/undisturbed", "--lossless", "--ledger", tmp_path / "undisturbed"
        )
        seconds = time.monotonic() - started
        for _ in range(kills):
            if not start_and_kill(words, 2 + rng.random() * max(2, 2 * seconds / kills)):
                break
        summary = batch(*words)

        now, kept = found(server, bucket, "in/"), found(server, bucket, "kept/")
        del kept[MARKER]
        assert_as_expected(summary, objects, {key: data for key, (data, _) in now.items()}, exact=True)
        undisturbed = found(server, bucket, "undisturbed/")
        assert {key: data for key, (data, _) in now.items()} == {key: data for key, (data, _) in undisturbed.items()}
        for stored in (*now.values(), *kept.values(), *undisturbed.values()):
            assert stored[1] == CARRIED | {"tags": TAGS}
        assert {key: data for key, (data, _) in kept.items()} == {
            key: data for key, (data, _) in objects.items() if now[key][0] != data
        }
        same = ("objects", "bytes_in", "bytes_out", "failed")
        assert {name: summary[name] for name in same} == {name: undisturbed_summary[name] for name in same}

        command("ledger", "restore", tmp_path / "ledger")
        assert found(server, bucket, "in/") == {
            key: (data, CARRIED | {"tags": TAGS}) for key, (data, _) in objects.items()
        }
        assert not [key for key in server.leftovers(bucket) if ".compressor-" in key]
        assert not any("not carried over" in notice for notice in summary["notices"])


def test_two_thousand_objects_are_replaced_and_restored_despite_fifty_kills(tmp_path: Path) -> None:
    replace_and_restore_despite_kills(tmp_path, COUNT, KILLS)
