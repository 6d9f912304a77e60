"""The differences between a ledger's run and one that is to continue it."""

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.batch.job import Job
from compressor.batch.request import Request, facts_of
from compressor.ledger.changes import changes
from compressor.ledger.errors import LedgerError
from compressor.ledger.ledger import Ledger
from compressor.settings import Effort, Format, Metadata, Settings


def facts(settings: Settings | None = None, **job: Any) -> dict[str, str]:
    fields: dict[str, Any] = {"source": "a", "target": "b", "settings": settings or Settings()}
    return facts_of(Request(job=Job(**fields | job)))


@pytest.mark.parametrize(
    "now, found",
    [
        (facts(), []),
        (facts(Settings(quality=85)), ["quality: 80 → 85"]),
        (facts(Settings(metadata=Metadata.STRIP, quality=85)), ["metadata: keep → strip", "quality: 80 → 85"]),
        (facts(Settings(target_score=70)), ["quality: 80 → none", "target-score: none → 70"]),
        (facts(Settings(lossless=True)), ["lossless: no → yes"]),
        (
            facts(Settings(format=Format.AUTO, accept=(Format.JPEG, Format.WEBP))),
            ["accept: none → jpeg, webp", "format: keep → auto"],
        ),
        (facts(target="c"), ["DST: b → c"]),
        (
            facts(target="a", in_place=True, keep="s3://k/"),
            ["DST: b → a", "mode: copy → in place", "keep-originals: none → s3://k/"],
        ),
        (facts(min_score=60.0, rename=True), ["rename: keep → suffix", "min-score: none → 60"]),
        (facts() | {"version": "9"}, [f"compressor: {facts()['version']} → 9"]),
    ],
)
def test_what_changed_is_named_a_setting_at_a_time(now: dict[str, str], found: list[str]) -> None:
    assert changes(facts(), now) == found


def test_facts_that_the_ledger_does_not_have_are_no_change() -> None:
    assert changes({"source": "a"}, facts()) == []


def test_the_error_says_what_changed_and_both_ways_out(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.begin(facts())
        ledger.add_shard("z")
        with pytest.raises(LedgerError) as error:
            ledger.begin(facts(Settings(quality=85, effort=Effort.BEST)))
        assert json.loads(ledger.facts()["settings"])["quality"] == 80

    assert str(error.value) == (
        f"{tmp_path / 'ledger'} belongs to another run (effort: balanced → best; quality: 80 → 85): to continue that "
        "one, give its options; for a new one, name another file with --ledger"
    )
