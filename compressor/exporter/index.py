"""An index of what was saved by key, for events: read from the parts of ledgers, one shard at a time."""

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
class IndexedObject:
    """A compressed object."""

    key: bytes
    ledger: int
    shard: int
    saved: int
    out: int


def index_one(state: State) -> bool:
    """Index the keys of one shard that is new or has changed; return False if none is.

    Keys in no part (of an unfinished shard, of a deleted ledger) are indexed later, and delay nothing.
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
        log.warning("%s: events about its keys are ignored", error)
        indexed = UNREADABLE
    with state.transaction():
        state.run("UPDATE shards SET indexed = ? WHERE ledger = ? AND number = ?", indexed, ledger, shard)
    return True


def _rows(path: str, ledger: int, shard: int) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Yield a row for every object, by its result's key; one that is no longer compressed has saved nothing."""
    for done in read_part(Path(path), shard):
        saved, out = (done.size - done.bytes_out, done.bytes_out) if done.outcome.saves else (0, 0)
        yield encode_key(done.stored_key), ledger, shard, saved, out


def look_up(state: State, key: bytes, ledger: int | None, *, absent: bool) -> list[IndexedObject]:
    """Return what ledgers that still count know of a key that was not deleted.

    ledger  only this one; None: all
    absent  whether to include ledgers that do not exist at the moment
    """
    rows = state.run(
        "SELECT ledger, shard, saved, out FROM objects JOIN ledgers ON ledgers.number = ledger"
        " WHERE key = ? AND NOT deleted AND out > 0 AND kind <> ? AND (present OR ?) AND (ledger = ? OR ? IS NULL)",
        key, ENDED, absent, ledger, ledger,
    )  # fmt: skip
    return [IndexedObject(key, *row) for row in rows]


def delete(state: State, found: IndexedObject) -> None:
    """Record that a result was deleted: it no longer saves anything, nor adds to what is stored."""
    state.run("UPDATE objects SET deleted = 1 WHERE key = ? AND ledger = ?", found.key, found.ledger)
    state.run(
        "UPDATE shards SET deleted_out = deleted_out + ? WHERE ledger = ? AND number = ?",
        found.out, found.ledger, found.shard,
    )  # fmt: skip
    withdraw(state, found.ledger, found.shard, found.saved)
