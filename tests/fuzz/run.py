"""Check mutants by number: `python -m tests.fuzz.run jpeg --seed 0 --count 5000 --out DIR`.

Prints the outcomes, the slowest time and the peak of memory as JSON. A file that breaks the contract is written to DIR
with its number, reported on standard error, and makes the exit status 1.
"""

import argparse
import faulthandler
import json
import os
import sys
from pathlib import Path

from compressor import kernels
from compressor.kernels import library
from tests.fuzz import seeds
from tests.fuzz.contract import Broken, Contract
from tests.fuzz.mutate import mutant

SEEDS = {"jpeg": seeds.jpegs, "png": seeds.pngs}
SUFFIX = {"jpeg": ".jpg", "png": ".png"}


def peak_bytes() -> int:
    """Return the peak resident memory since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def forget_peak() -> None:
    """Reset the peak (proc_pid_clear_refs(5))."""
    Path("/proc/self/clear_refs").write_text("5")


def run(kind: str, seed: int, first: int, count: int, out: Path, failures_max: int) -> tuple[dict[str, object], int]:
    """Return a summary and the number of files that broke the contract; stop at `failures_max`."""
    kernels.import_all()
    originals = SEEDS[kind]()
    contract = Contract()
    for number, data in enumerate(originals):
        contract.check(kind, data, number)
    forget_peak()
    idle, failures = peak_bytes(), 0
    # Names the file that is being read, should the process die of it.
    case = os.open(out / f"{kind}-case", os.O_CREAT | os.O_WRONLY, 0o644)
    for number in range(first, first + count):
        data = mutant(kind, seed, number, originals)
        os.pwrite(case, f"seed {seed}, number {number:9}".encode(), 0)
        try:
            contract.check(kind, data, number)
        except Broken as broken:
            path = out / f"seed-{seed}-number-{number}{SUFFIX[kind]}"
            path.write_bytes(data)
            print(f"seed {seed}, number {number}, kept as {path}: {broken}", file=sys.stderr)
            failures += 1
            if failures == failures_max:
                break
    os.close(case)
    summary = {
        "kernels": library.description(),
        "digest": contract.digest.hexdigest(),
        "counts": dict(sorted(contract.counts.items())),
        "slowest_seconds": round(contract.slowest, 3),
        "peak_over_idle_bytes": peak_bytes() - idle,
    }
    return summary, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=SEEDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--failures-max", type=int, default=1)
    parser.add_argument("--cpu", help="whose compiled kernels run")
    asked = parser.parse_args()
    if asked.cpu:
        library.use(asked.cpu)
    faulthandler.enable()
    asked.out.mkdir(parents=True, exist_ok=True)
    summary, failures = run(asked.kind, asked.seed, asked.first, asked.count, asked.out, asked.failures_max)
    print(json.dumps(summary, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
