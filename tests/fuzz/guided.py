"""Coverage-guided fuzzing: `python -m tests.fuzz.guided jpeg CORPUS [options of libFuzzer]`.

Atheris instruments Python code only, not compiled kernels. Files that break the contract are written to
tests/fuzz/findings: rename them descriptively, and the test suite runs them from then on.
"""

import random
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

from compressor import kernels

HERE = Path(__file__).resolve().parent
SUFFIX = {"jpeg": ".jpg", "png": ".png"}
INSTRUMENTED = ["compressor.jpeg", "compressor.png", "compressor.pipeline", "compressor.metadata", "compressor.sniff"]

kernels.import_all()  # before instrumentation: Numba can't compile instrumented code
with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz import seeds
    from tests.fuzz.contract import Contract
    from tests.fuzz.mutate import changed


def main(kind: str, corpus: Path, options: list[str]) -> None:
    """Fuzz from the seeds and earlier findings. corpus: receives files that reach new code."""
    originals = {"jpeg": seeds.jpegs, "png": seeds.pngs}[kind]()
    corpus.mkdir(parents=True, exist_ok=True)
    findings = HERE / "findings"
    for number, data in enumerate((*originals, *(path.read_bytes() for path in findings.glob(f"*{SUFFIX[kind]}")))):
        (corpus / f"seed-{number}").write_bytes(data)
    contract = Contract()

    def test_one(data: bytes) -> None:
        contract.check(kind, data, sum(data[-8:]))

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        return changed(kind, rng, data, originals)[:max_size]

    names = [f"-artifact_prefix={findings}/{kind}-", "-max_len=20000", "-timeout=10"]
    atheris.Setup([sys.argv[0], *names, *options, str(corpus)], test_one, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
