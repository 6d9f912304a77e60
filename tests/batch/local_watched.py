"""A worker process of the local engine that records how many cores it may use; the process imports this module."""

import os
from multiprocessing.connection import Connection
from pathlib import Path

from compressor.batch import engine_local
from compressor.batch.job import Job, Prepared
from compressor.cores import cores
from compressor.ledger.records import ObjectResult
from compressor.stores.contract import Entry

NOTES = "TEST_NOTES"  # environment variable: the folder in which each process writes a file
worker_main = engine_local.worker_main  # before a test replaces it


def main(connection: Connection, job: Job, share: int) -> None:
    from compressor.batch import work

    class Watched(work.Worker):
        def prepare(self, entry: Entry) -> Prepared | ObjectResult:
            Path(os.environ[NOTES], str(os.getpid())).write_text(str(cores.count))
            return super().prepare(entry)

    work.Worker = Watched  # type: ignore[misc]
    worker_main(connection, job, share)
