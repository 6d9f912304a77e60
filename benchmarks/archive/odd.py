"""Odd JPEGs and mutants, archived and made again by one library in a process of its own.

    python -m benchmarks.archive.odd LIBRARY COUNT

Prints how many came back exactly, came back different, could not be made again, or were refused, as JSON. The mutants
are those of tests/archive. A header that promises more blocks than the file has bits is left out, as by compressor.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from benchmarks import ROOT
from benchmarks.archive.one import LIBRARIES

TIMEOUT_SECONDS = 900
OUTCOMES = ("exact", "different", "not made again", "refused")


def count(library: str, mutants: int) -> dict[str, int]:
    """Count in a new process. Raises RuntimeError with its error output if it dies."""
    command = [sys.executable, "-m", "benchmarks.archive.odd", library, str(mutants)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}: {done.stderr[-3000:]}")
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def subjects(mutants: int) -> Iterator[bytes]:
    """Yield the files: odd ones, then mutants."""
    from compressor.bytestream import ByteStream
    from compressor.errors import CompressorError
    from compressor.jpeg.reader import read_header
    from compressor.pipeline.to_archive import obstacle_to_archiving
    from tests.archive.files import mutated_jpegs, odd_jpegs
    from tests.fuzz.mutate import mutant

    originals = mutated_jpegs()
    for data in (*odd_jpegs().values(), *(mutant("jpeg", 16, number, originals) for number in range(mutants))):
        try:
            if obstacle_to_archiving(read_header(ByteStream([data])), len(data)):
                continue
        except CompressorError:
            pass
        yield data


def main(library: str, mutants: str) -> None:
    """Count in this process and print the result."""
    archive, unarchive = LIBRARIES[library]()
    counts = Counter(dict.fromkeys(OUTCOMES, 0))
    for data in subjects(int(mutants)):
        try:
            made = bytes(archive(data))
        except Exception:  # each library has its own
            counts["refused"] += 1
            continue
        try:
            counts["exact" if bytes(unarchive(made)) == data else "different"] += 1
        except Exception:
            counts["not made again"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
