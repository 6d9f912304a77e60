"""A dry run writes nothing anywhere: to no bucket, to no folder."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from compressor.batch import api
from compressor.cli.app import app
from tests.batch.support import Inline, jpeg
from tests.stores.s3_servers import Server, moto_server

FILES = {"a.jpg": jpeg(1), "sub/b.jpg": jpeg(2), "notes.txt": b"text"}
DRY_RUNS = {
    "no target": [],
    "in place": ["--in-place"],
    "in place, kept": ["--in-place", "--keep-originals", "kept"],
    "in place, discarded": ["--in-place", "--discard-originals", "--quality", "60"],
}


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a separate folder, with a worker in this process that opens its own stores."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(api, "engine_for", lambda request, server: Inline(request.job))


@pytest.fixture(scope="module", params=[True, False], ids=["conditions are honored", "conditions are ignored"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with moto_server(supports_conditions=request.param) as running:
        yield running


@pytest.fixture
def bucket(server: Server) -> str:
    name = server.bucket()
    server.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for key, data in FILES.items():
        server.client.put_object(Bucket=name, Key=f"in/{key}", Body=data)
    server.writes.clear()
    return name


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments, "--json"])


@pytest.mark.parametrize("more", DRY_RUNS.values(), ids=DRY_RUNS)
def test_a_dry_run_sends_no_write_request_to_its_bucket(server: Server, bucket: str, more: list[str]) -> None:
    found = batch(f"s3://{bucket}/in", "--dry-run", *more)

    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["projection"]["saved_bytes"] > 0
    assert server.writes == []
    versions = server.client.list_object_versions(Bucket=bucket)
    assert len(versions["Versions"]) == len(FILES) and "DeleteMarkers" not in versions
    assert os.listdir() == []


def test_a_dry_run_sends_no_write_request_to_another_bucket(server: Server, bucket: str) -> None:
    other = server.bucket()
    server.writes.clear()

    assert batch(f"s3://{bucket}/in", f"s3://{other}/out", "--dry-run").exit_code == 0
    assert server.writes == []


def test_write_requests_are_recorded(server: Server, bucket: str) -> None:
    assert batch(f"s3://{bucket}/in", f"s3://{bucket}/out").exit_code == 0
    assert f"PUT /{bucket}/out/a.jpg" in server.writes


@pytest.mark.parametrize("more", DRY_RUNS.values(), ids=DRY_RUNS)
def test_a_dry_run_leaves_a_folder_unchanged(tmp_path: Path, more: list[str]) -> None:
    for key, data in FILES.items():
        (tmp_path / "in" / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / key).write_bytes(data)

    def states() -> dict[str, tuple[int, int]]:
        paths = [tmp_path / "in", *(tmp_path / "in").rglob("*")]
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths}

    before = states()
    assert batch(str(tmp_path / "in"), "--dry-run", *more).exit_code == 0
    assert states() == before
    assert os.listdir() == [] and sorted(os.listdir(tmp_path)) == ["in", "work"]


def test_a_run_in_place_is_refused_before_it_starts_if_the_server_ignores_conditions(
    server: Server, bucket: str
) -> None:
    found = batch(f"s3://{bucket}/in", "--in-place", "--discard-originals", "--quality", "60")
    probes = [write for write in server.writes if ".compressor-" in write]

    if any(write.startswith("DELETE") for write in probes):
        assert found.exit_code == 2 and "--allow-non-atomic" in found.stderr
        assert len(probes) == len(server.writes) == 2
    else:
        assert found.exit_code == 0, found.stderr
        assert len(probes) == 1
