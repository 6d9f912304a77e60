"""Ten thousand damaged files, and earlier findings: each ends in an error with an offset or in a correct result.

`make fuzz` continues with coverage-guided fuzzing. Findings are kept in tests/fuzz/findings.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from compressor.kernels.cpus import CPUS
from tests import ROOT
from tests.fuzz import seeds
from tests.fuzz.contract import MEMORY_BYTES, SECONDS_MAX, Contract
from tests.fuzz.mutate import mutant

COUNT = 5000  # of each kind
FINDINGS = sorted((Path(__file__).parent / "findings").iterdir())
KINDS = {".jpg": "jpeg", ".png": "png"}
LINES_MAX = 4000


def summaries(folder: Path, environment: Mapping[str, str], *options: str) -> dict[str, dict[str, Any]]:
    """Check COUNT mutants of each kind in a process of its own, and return what it prints."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.fuzz.run", "--count", str(COUNT), "--out", str(folder), *options]
    pipe = subprocess.PIPE
    running = {
        kind: subprocess.Popen([*command, kind], env=environment, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)
        for kind in KINDS.values()
    }
    try:
        outputs = {kind: process.communicate(timeout=300) for kind, process in running.items()}
    finally:
        for process in running.values():
            process.kill()
    for kind, (_, errors) in outputs.items():
        last = (folder / f"{kind}-case").read_text()
        assert running[kind].returncode == 0, f"{kind}, last case: {last}\n{errors[-LINES_MAX:]}"
    return {kind: json.loads(output) for kind, (output, _) in outputs.items()}


def test_ten_thousand_mutants_end_in_an_error_or_a_correct_result(
    safety_build: Mapping[str, str], tmp_path: Path
) -> None:
    """With bounds checks, and then with the library's kernels for each CPU, which have the same results.

    To reproduce a mutant: `python -m tests.fuzz.run jpeg --first NUMBER --count 1 --out DIR`; to keep it, copy the file
    to tests/fuzz/findings under a descriptive name."""
    safe = summaries(tmp_path / "safe", safety_build)
    for summary in safe.values():
        assert summary["kernels"] == "safe"
        assert summary["slowest_seconds"] < SECONDS_MAX
        assert summary["peak_over_idle_bytes"] < MEMORY_BYTES
        fine = {way: count for way, count in summary["counts"].items() if way.endswith(("fine", "compared"))}
        # Some files must succeed, otherwise nothing after the headers has been tested.
        assert fine["exact compared"] > COUNT / 12 and fine["inspect fine"] > COUNT / 20, fine
    for cpu in CPUS:
        compiled = summaries(tmp_path / cpu, os.environ | {"COMPRESSOR_KERNELS": "compiled"}, f"--cpu={cpu}")
        for kind, summary in compiled.items():
            assert summary["kernels"] == f"compiled, {cpu}"
            assert summary["digest"] == safe[kind]["digest"]


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.name)
def test_earlier_findings_satisfy_the_contract(path: Path) -> None:
    contract, data = Contract(), path.read_bytes()
    for number in range(4):  # all ways
        contract.check(KINDS[path.suffix], data, number)


@pytest.mark.parametrize("kind", KINDS.values())
def test_the_seeds_are_valid(kind: str) -> None:
    contract = Contract()
    for data in {"jpeg": seeds.jpegs, "png": seeds.pngs}[kind]():
        contract.check(kind, data, 3)
    assert not [outcome for outcome in contract.counts if outcome.startswith("exact") and "Error" in outcome]


@pytest.mark.parametrize("kind", KINDS.values())
def test_mutants_are_reproducible(kind: str) -> None:
    originals = {"jpeg": seeds.jpegs, "png": seeds.pngs}[kind]()
    made = [mutant(kind, 7, number, originals) for number in range(200)]

    assert made == [mutant(kind, 7, number, originals) for number in range(200)]
    assert len(set(made)) > 190


def test_findings_are_small() -> None:
    assert all(path.stat().st_size < 20_000 and path.suffix in KINDS for path in FINDINGS)
