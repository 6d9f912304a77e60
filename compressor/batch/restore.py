"""Puts kept originals back, where what stands there is still what we wrote."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from compressor.batch.job import Done, Outcome, Reason
from compressor.batch.ledger import Ledger, LedgerError
from compressor.batch.originals import originals_of
from compressor.batch.store import Only, Store, StoreError, Trouble
from compressor.batch.summary import Progress
from compressor.batch.tally import Tally
from compressor.batch.verdicts import MEANING, store_digest

RESTORED = "restored"


@dataclass
class Kept:
    """An object as a body."""

    store: Store
    key: str
    size: int

    def chunks(self) -> Iterator[bytes]:
        with self.store.open(self.key) as opened:
            yield from opened.chunks()


def restore(ledger: Ledger, store: Store, stopped: Callable[[], bool], told: Callable[[Progress], None]) -> Tally:
    """Every object that was replaced and whose original was kept.

    May be stopped and begun again: what is back already is left alone.
    """
    if ledger.facts().get("mode") != "in place" or not ledger.facts().get("keep"):
        raise LedgerError(f"{ledger.path}: originals were not kept, there is nothing to restore")
    originals = originals_of(ledger.facts()["keep"], store).store
    tally = Tally()
    ledger.note(RESTORED, "begun")  # from now on the ledger does not say what is there
    ledger.commit()
    for done in ledger.objects():
        if not done.kept or stopped():
            continue
        try:
            now = _restored(store, originals, done)
        except StoreError as error:
            outcome, reason = MEANING.get(error.trouble, (Outcome.FAILED, Reason.OTHER))
            now = replace(done, outcome=outcome, reason=reason, error=str(error))
        tally.add(now)
        told(tally.progress())
    tally.listed_all = True
    return tally


def _restored(store: Store, originals: Store, done: Done) -> Done:
    """The original back in its place, with what it carried, and gone from where it was kept."""
    there, kept = store.look(done.key), originals.look(done.kept)
    back = replace(done, outcome=Outcome.COPIED, reason=Reason.NONE, bytes_out=done.size)
    back = replace(
        back, stage_seconds={}, other_seconds=0.0, memory_byte_seconds=0.0
    )  # those of the run that replaced it
    if kept is None:
        if there is not None and there.size == done.size:
            return back  # by an earlier run
        raise StoreError(Trouble.MISSING, f"the original is not at {done.kept!r} any more")
    if there is None:
        raise StoreError(Trouble.MISSING, f"deleted since it was replaced; its original is at {done.kept!r}")
    if there.etag != done.result_etag:
        same = there.size == kept.size and store_digest(store, done.key) == store_digest(originals, done.kept)
        if not same:
            raise StoreError(Trouble.CHANGED, f"changed since it was replaced; its original is at {done.kept!r}")
    else:
        with originals.open(done.kept) as opened:
            attributes = opened.attributes
        written = store.write(done.key, Kept(originals, done.kept, kept.size), attributes, Only(there.etag))
        if written.size != kept.size:
            raise StoreError(Trouble.OTHER, f"{written.size} bytes arrived of {kept.size}")
    originals.delete(done.kept, kept.etag)
    return back
