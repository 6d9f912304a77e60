"""A ledger's parts: LEDGER.parts/NUMBER.jsonl.gz has a line of JSON for each object of a finished shard."""

import gzip
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from compressor.atomic_write import AtomicFile
from compressor.ledger.errors import LedgerError
from compressor.ledger.records import ObjectResult, decode_record, encode_record

LINE_BYTES_MAX = 1 << 20  # usual lines have some hundred


def part_path(ledger: Path, number: int) -> Path:
    """Return the path of a finished shard's part."""
    return ledger.with_name(ledger.name + ".parts") / f"{number:08d}.jsonl.gz"


def write_part(ledger: Path, number: int, results: Iterable[ObjectResult]) -> None:
    """Write a shard's part; it is on disk when this returns."""
    path = part_path(ledger, number)
    path.parent.mkdir(exist_ok=True)
    with AtomicFile(path.with_suffix(".part")) as part:
        part.discard()  # left by a run that was killed
        with gzip.GzipFile(fileobj=part.open(), mode="wb", mtime=0, filename="") as lines:
            for result in results:
                lines.write(encode_record(result).encode() + b"\n")
        part.publish(path, sync_folder=True)


def read_part(ledger: Path, number: int) -> Iterator[ObjectResult]:
    """Yield the objects of a finished shard; raise LedgerError if its part is missing or damaged."""
    path = part_path(Path(os.path.realpath(ledger)), number)
    try:
        with gzip.open(path, "rb") as lines:
            while line := lines.readline(LINE_BYTES_MAX):
                yield decode_record(line.decode())
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise LedgerError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}") from None
