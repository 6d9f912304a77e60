"""What of a key was saved, for events that name keys: read from the parts of ledgers, a shard at a time."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compressor.exporter.credit import ENDED, withdraw
from compressor.exporter.state import State
from compressor.ledger.errors import LedgerError
from compressor.ledger.parts import read_part
from compressor.ledger.records import encode_key

log = logging.getLogger(__name__)

UNREADABLE = 2


@dataclass(frozen=True, slots=True)
class Found:
    """An object that was compressed."""

    key: bytes
    ledger: int
    shard: int
    saved: int
    out: int


def index_one(state: State) -> bool:
    """Read the keys of one shard that are not known as they are now; False where there is none.

    What is in no part (of a shard that is not done, of a ledger that is gone) waits and holds up nothing.
    """
    found = state.run(
        "SELECT ledger, shards.number, path FROM shards JOIN ledgers ON ledgers.number = ledger"
        " WHERE done AND NOT indexed AND present AND kind <> ? LIMIT 1", ENDED,
    ).fetchone()  # fmt: skip
    if found is None:
        return False
    ledger, shard, path = found
    indexed = 1
    try:
        with state.transaction():
            state.run_many(
                "INSERT INTO objects (key, ledger, shard, saved, out) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET shard = excluded.shard, saved = excluded.saved, out = excluded.out",
                _rows(path, ledger, shard),
            )
    except LedgerError as error:
        log.warning("%s: events can't name its keys", error)
        indexed = UNREADABLE
    with state.transaction():
        state.run("UPDATE shards SET indexed = ? WHERE ledger = ? AND number = ?", indexed, ledger, shard)
    return True


def _rows(path: str, ledger: int, shard: int) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Of all objects: one that is not changed any more has saved nothing."""
    for done in read_part(Path(path), shard):
        saved, out = (done.size - done.bytes_out, done.bytes_out) if done.outcome.changed else (0, 0)
        yield encode_key(done.key), ledger, shard, saved, out


def look_up(state: State, key: bytes, ledger: int | None, *, gone: bool) -> list[Found]:
    """What ledgers that still count say of a key, or the one that is meant; not of one that was deleted.

    gone  whether also those that are not there at the moment
    """
    rows = state.run(
        "SELECT ledger, shard, saved, out FROM objects JOIN ledgers ON ledgers.number = ledger"
        " WHERE key = ? AND NOT deleted AND out > 0 AND kind <> ? AND (present OR ?) AND (ledger = ? OR ? IS NULL)",
        key, ENDED, gone, ledger, ledger,
    )  # fmt: skip
    return [Found(key, *row) for row in rows]


def delete(state: State, found: Found) -> None:
    """A result is gone: nothing is saved by it any more, nor added."""
    state.run("UPDATE objects SET deleted = 1 WHERE key = ? AND ledger = ?", found.key, found.ledger)
    state.run(
        "UPDATE shards SET deleted_out = deleted_out + ? WHERE ledger = ? AND number = ?",
        found.out, found.ledger, found.shard,
    )  # fmt: skip
    withdraw(state, found.ledger, found.shard, found.saved)
