"""Refuses a run in place before it begins where its store can't replace objects on a condition."""

import time

from compressor.batch.job import Job
from compressor.batch.plan import Filters
from compressor.errors import SettingsError
from compressor.humanize import printable
from compressor.sniff import PREFIX, sniff
from compressor.stores.contract import Store, StoreError
from compressor.stores.file_write import further_links
from compressor.stores.files import Files

FLAG = "allow_not_atomic"


def require_conditions(job: Job, store: Store) -> int:
    """Return the store's `conditional_bytes`, for which a write may be tried; raise SettingsError where a run in place
    needs it and it is 0."""
    most = store.conditional_bytes
    if job.in_place and not most and not job.allow_not_atomic:
        what = "this file system can't exchange two names" if isinstance(store, Files) else "this server can't"
        raise SettingsError(
            FLAG,
            f"is needed: {printable(job.source)}: {what}, so that nothing can be replaced on the condition that nobody "
            "has changed it meanwhile; with this flag there is a look before and after",
        )
    return most


def require_single_links(job: Job, store: Store, filters: Filters) -> None:
    """Raise SettingsError where a run in place over a folder would come upon an image with further hard links: they
    would keep the old content. Takes a walk through the folder; nothing but such files is opened."""
    if not isinstance(store, Files) or not job.in_place or job.allow_not_atomic:
        return
    now = time.time()
    for entry in store.entries(lambda key, error: None):
        if entry.links > 1 and filters.match(entry, now) and is_image(store, entry.key):
            raise SettingsError(
                FLAG,
                f'is needed: "{printable(entry.key)}" {further_links(entry.links)}; with this flag it is replaced all '
                "the same, and --exclude leaves it out",
            )


def is_image(store: Files, key: str) -> bool:
    """Return whether a file begins as an image does; not if it can't be read, which the run will tell."""
    head = b""
    try:
        with store.open(key) as opened:
            for chunk in opened.chunks():
                head += chunk
                if len(head) >= PREFIX:
                    break
    except StoreError:
        return False
    return sniff(head[:PREFIX]) != "unknown"
