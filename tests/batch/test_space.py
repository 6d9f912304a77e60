"""The space that a run reports, compared with what its bucket takes; and money at prices that are given."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compressor.batch import api
from compressor.cli.app import app
from compressor.report.money import BILLED_BYTES
from compressor.stores.markers import MARKER
from compressor.stores.open import open_store
from tests.batch.support import Inline, jpeg, png
from tests.stores.s3_servers import Server, moto_server

FILES = {"a.jpg": jpeg(1), "sub/b.jpg": jpeg(2), "flat.png": png(1), "notes.txt": b"text", "broken.jpg": jpeg(3)[:900]}
IN_PLACE = ["--in-place", "--quality", "60"]


@pytest.fixture(autouse=True)
def work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in a separate folder, with a worker in this process that opens its own stores."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "engine_for", lambda request, server: Inline(request.job))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moto_server() as running:
        yield running


def filled(server: Server, versioning: str) -> str:
    name = server.bucket()
    if versioning:
        server.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": versioning})
    for key, data in FILES.items():
        server.client.put_object(Bucket=name, Key=f"in/{key}", Body=data)
    return name


def taken(server: Server, bucket: str) -> int:
    """Return the bytes of all versions of all objects, without the marker of kept originals."""
    versions = server.client.list_object_versions(Bucket=bucket)["Versions"]
    return sum(int(one["Size"]) for one in versions if not one["Key"].endswith(MARKER))


def batch(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["batch", *arguments])


@pytest.mark.parametrize(
    "options, versioning",
    [
        (["s3://{}/out"], ""),
        ([*IN_PLACE, "--keep-originals", "kept/"], ""),
        ([*IN_PLACE, "--discard-originals"], "Enabled"),
        ([*IN_PLACE, "--keep-originals", "kept/", "--format", "webp", "--rename", "suffix"], "Enabled"),
    ],
    ids=["copy", "kept", "discarded, versioned", "renamed, kept, versioned"],
)
def test_a_summary_says_what_the_bucket_really_takes(options: list[str], versioning: str, server: Server) -> None:
    bucket = filled(server, versioning)
    before = taken(server, bucket)

    found = batch(f"s3://{bucket}/in", *(option.format(bucket) for option in options), "--json")

    summary: dict[str, Any] = json.loads(found.stdout)
    assert summary["objects"] == len(FILES) and summary["saved_bytes"] > 0
    assert (summary["space"]["before"], summary["space"]["now"]) == (before, taken(server, bucket))
    assert summary["space"]["after"] == before - summary["saved_bytes"]


def test_a_bucket_whose_versioning_is_suspended_causes_a_notice(server: Server) -> None:
    bucket = filled(server, "Enabled")
    server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})

    assert any("suspended" in notice for notice in open_store(f"s3://{bucket}/in").notices)


def test_prices_become_money_in_every_output(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(FILES["a.jpg"])
    prices = ["--price-per-gb-month", "100000USD", "--price-per-gb-egress", "100000"]

    first = batch("in", "out", *prices, "--downloads-per-month", "2", "--report", "run.html", "--json")
    text = batch("in", "out", *prices, "--downloads-per-month", "2").stdout

    assert first.exit_code == 0, first.stderr
    summary = json.loads(first.stdout)
    money, saved = summary["money"], summary["saved_bytes"] / BILLED_BYTES
    assert money["per_year"] == pytest.approx(12 * saved * 100_000 * 3) and money["currency"] == "USD"
    assert f"{money['per_year']:,.2f} USD" in text and f"{money['per_year']:,.2f} USD" in Path("run.html").read_text()


@pytest.mark.parametrize(
    "options, problem",
    [
        (["--price-per-gb-month", "cheap"], "'cheap' is not a price such as"),
        (["--price-per-gb-egress", "0.1"], "--price-per-gb-egress and --downloads-per-month go together"),
        (["--downloads-per-month", "-1"], "is negative"),
    ],
)
def test_prices_that_mean_nothing_are_refused(options: list[str], problem: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    found = batch("in", "out", *options)

    assert found.exit_code == 2 and problem in " ".join(found.stderr.replace("│", " ").split())
    assert not (tmp_path / "out").exists()


def test_changed_settings_are_named_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jpg").write_bytes(FILES["a.jpg"])
    assert batch("in", "out", "--ledger", "l").exit_code == 0

    found = batch("in", "out", "--ledger", "l", "--quality", "85", "--metadata", "strip")

    assert found.exit_code == 1
    assert found.stderr.splitlines()[-1] == (
        "compressor: l belongs to another run (metadata: keep → strip; quality: 80 → 85): to continue that one, give "
        "its options; for a new one, name another file with --ledger"
    )
