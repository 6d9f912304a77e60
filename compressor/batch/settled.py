"""Which objects that the ledger knows need nothing more when a run is given again."""

from fnmatch import fnmatchcase

from compressor.batch.job import Done, Job, Outcome, Reason
from compressor.settings import Metadata
from compressor.stores.contract import Entry

UNUSABLE = {Reason.BROKEN, Reason.LIMIT, Reason.VERIFY}  # images that the codec refuses


def settled(entry: Entry, done: Done, job: Job) -> bool:
    """Return whether an object is as the run before left it, and the job would leave it so again."""
    if done.retry or reconsidered(done, job):
        return False
    same = entry.etag in (done.etag, done.result_etag) if entry.etag else entry.size in (done.size, done.bytes_out)
    if done.outcome.changed and job.in_place:
        return entry.etag == done.result_etag if entry.etag else entry.size == done.bytes_out
    return same


def reconsidered(done: Done, job: Job) -> bool:
    """Return whether an object was left for something that an option decides, and the option is another now."""
    if done.reason is Reason.NOT_ATOMIC:
        return job.allow_not_atomic
    if done.reason is Reason.EXISTS:
        return job.overwrite and not job.in_place
    if done.reason is Reason.FILTERED:
        return asked_for(done.error, job)
    if job.settings.metadata is Metadata.KEEP:
        return False
    if done.reason is Reason.UNSTRIPPABLE:
        return (done.outcome is Outcome.FAILED) == job.copy_unstrippable
    missing = done.reason in UNUSABLE and not job.in_place and not done.result_etag
    return missing and job.copy_unstrippable


def asked_for(content_type: str, job: Job) -> bool:
    """Return whether objects of a Content-Type are meant."""
    return not job.content_types or any(fnmatchcase(content_type, pattern) for pattern in job.content_types)
