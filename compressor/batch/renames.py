"""Replacement in place of an object by one with another key: the new one is created, then the old one is deleted.

Between the two, both exist. What a killed run left is decided from its intent: `settle` completes what has been
created, or undoes it where somebody has changed the source since.
"""

from compressor.batch.outcomes import KeyTakenError
from compressor.ledger.records import ObjectResult
from compressor.stores.contract import (
    RETRIED,
    Attributes,
    Body,
    Entry,
    Precondition,
    Store,
    StoreError,
    StoreErrorKind,
    check_precondition,
    store_digest,
)


def replace_by_new_key(store: Store, done: ObjectResult, body: Body, attributes: Attributes) -> Entry:
    """Create `done.result_key`, which must not exist, and delete `done.key`, which must still be what was read.

    Raise KeyTakenError or StoreError. Only where its kind is in RETRIED may the new object be left: `settle` finds out.
    """
    source = store.head(done.key)
    check_precondition(Precondition(done.etag), None if source is None else source.etag)
    try:
        written = store.write_successor(done.result_key, body, attributes, done.key)
    except StoreError as error:
        if error.kind is not StoreErrorKind.EXISTS:
            raise
        found = result_in(store, done)
        if found is None:
            raise KeyTakenError(done.result_key) from None
        written = found  # by a worker that outlived its run: when the intent was recorded, the key was free
    try:
        store.delete(done.key, done.etag)
    except StoreError as error:
        if error.kind not in RETRIED:
            undo(store, done, written, error)
        raise
    return written


def undo(store: Store, done: ObjectResult, written: Entry, cause: StoreError) -> None:
    """Delete a new object whose source could not be deleted. Raise StoreError if that fails, too."""
    try:
        store.delete(done.result_key, written.etag)
    except StoreError as error:
        raise StoreError(error.kind, f"{cause}; {done.result_key!r} was created and is left: {error}") from None


def settle(store: Store, intent: ObjectResult) -> Entry | None:
    """Return the object that an intent has created under a new key, after its source is deleted; None if there is none.

    A source that somebody has changed since it was read stays, and the new object is deleted. Raise StoreError.
    """
    found = result_in(store, intent)
    if found is None:
        return None
    try:
        store.delete(intent.key, intent.etag)
    except StoreError as error:
        if error.kind is not StoreErrorKind.CHANGED:
            raise
        undo(store, intent, found, error)
        return None
    return found


def result_in(store: Store, intent: ObjectResult) -> Entry | None:
    """Return the entry of the stored object that has the content of an intent; None if there is none."""
    found = store.head(intent.stored_key)
    if found is None or found.size != intent.bytes_out or store_digest(store, intent.stored_key) != intent.digest:
        return None
    return found
