"""Stores for the objects of a batch benchmark: folders, and buckets of an S3 server. And clusters of Dask workers."""

import importlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

from benchmarks import ROOT

START_SECONDS_MAX = 60


class Backend(Protocol):
    """A store of objects.

    name         in tables
    environment  variables with which the command accesses it
    """

    name: str
    environment: Mapping[str, str]

    def create(self) -> str:
        """Create an empty location; return its URL."""

    def create_with(self, objects: Mapping[str, bytes]) -> str:
        """Create a location that holds `objects`; return its URL."""

    def count(self, url: str) -> int:
        """Return the number of objects in a location."""

    def contents(self, url: str) -> Iterator[tuple[str, bytes]]:
        """Yield the keys and the bytes of all objects in a location."""


class FolderBackend:
    """New folders in `root`."""

    name = "local files"
    environment: Mapping[str, str] = {}

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self) -> str:
        folder = self._root / uuid.uuid4().hex
        folder.mkdir()
        return str(folder)

    def create_with(self, objects: Mapping[str, bytes]) -> str:
        folder = Path(self.create())
        for key, data in objects.items():
            path = folder / key
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        os.sync()  # or the first file that a run flushes to disk would have to wait for these
        return str(folder)

    def count(self, url: str) -> int:
        return sum(".compressor-" not in name for _, _, names in os.walk(url) for name in names)

    def contents(self, url: str) -> Iterator[tuple[str, bytes]]:
        for path in Path(url).rglob("*"):
            if path.is_file():
                yield path.relative_to(url).as_posix(), path.read_bytes()


class S3Backend:
    """New buckets of the S3 server at `endpoint`, with credentials from the environment or those of a test server."""

    def __init__(self, name: str, endpoint: str) -> None:
        import boto3

        self.name = name
        defaults = {"AWS_ACCESS_KEY_ID": "testak", "AWS_SECRET_ACCESS_KEY": "testsk", "AWS_DEFAULT_REGION": "us-east-1"}
        known = {name: os.environ.get(name, value) for name, value in defaults.items()}
        self.environment: Mapping[str, str] = {**known, "AWS_ENDPOINT_URL_S3": endpoint}
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_DEFAULT_REGION"],
        )

        self._buckets: list[str] = []

    def close(self) -> None:
        """Delete all buckets that were created."""
        for bucket in self._buckets:
            for key in list(self._keys(bucket)):
                self._client.delete_object(Bucket=bucket, Key=key)
            self._client.delete_bucket(Bucket=bucket)
        self._client.close()

    def create(self) -> str:
        bucket = f"benchmark-{uuid.uuid4().hex}"
        self._client.create_bucket(Bucket=bucket)
        self._buckets.append(bucket)
        return f"s3://{bucket}"

    def create_with(self, objects: Mapping[str, bytes]) -> str:
        url = self.create()
        for key, data in objects.items():
            self._client.put_object(Bucket=url.removeprefix("s3://"), Key=key, Body=data, ContentType="image/jpeg")
        return url

    def _keys(self, bucket: str) -> Iterator[str]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            yield from (item["Key"] for item in page.get("Contents", ()))

    def count(self, url: str) -> int:
        return sum(1 for _ in self._keys(url.removeprefix("s3://")))

    def contents(self, url: str) -> Iterator[tuple[str, bytes]]:
        bucket = url.removeprefix("s3://")
        for key in self._keys(bucket):
            yield key, self._client.get_object(Bucket=bucket, Key=key)["Body"].read()


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's S3 server in a process of its own; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("moto's server does not start") from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def installed(*modules: str) -> bool:
    """Return whether all of these modules can be imported."""
    return all(importlib.util.find_spec(name) is not None for name in modules)


@contextmanager
def s3(endpoint: str | None) -> Iterator[S3Backend | None]:
    """Yield the S3 server at `endpoint`; without one Ceph's or moto's, whichever is installed, or None."""
    if endpoint is not None:
        with closing(S3Backend(f"S3, {endpoint.partition('://')[2]}", endpoint)) as backend:
            yield backend
    elif shutil.which("radosgw") and shutil.which("ceph-osd") and installed("pytest", "moto", "tests"):
        gateway = importlib.import_module("tests.stores.rgw")
        with gateway.rados_gateway() as server, closing(S3Backend("S3, Ceph", server.address)) as backend:
            yield backend
    elif installed("moto"):
        with moto_server() as address, closing(S3Backend("S3, moto", address)) as backend:
            yield backend
    else:
        yield None


@contextmanager
def dask_cluster(folder: Path, workers: int) -> Iterator[str | None]:
    """Run a Dask scheduler and workers of one thread each; yield its address, or None if Dask is not installed."""
    if not installed("distributed"):
        yield None
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    scheduler = folder / "scheduler.json"
    common = ["--scheduler-file", str(scheduler), "--no-dashboard", "--host", "127.0.0.1"]
    commands = [
        ["distributed.cli.dask_scheduler", "--port", "0", *common],
        ["distributed.cli.dask_worker", "--nworkers", str(workers), "--nthreads", "1", *common],
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = []
    try:
        for words in commands:
            with open(folder / "log", "a") as log:
                command = [sys.executable, "-m", *words]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder))
        end = time.monotonic() + START_SECONDS_MAX
        while not scheduler.exists() or not (text := scheduler.read_text()):
            if time.monotonic() > end:
                raise RuntimeError(f"Dask's scheduler does not start: {(folder / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        yield text.partition('"address": "')[2].partition('"')[0]
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()
