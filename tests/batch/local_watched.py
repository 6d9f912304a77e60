"""A worker process of the local engine that notes how many cores it may use: imported by the process itself."""

import os
from pathlib import Path

from compressor.batch import engine_local
from compressor.cores import cores

NOTES = "TEST_NOTES"  # environment variable: the folder in which each process writes a file
worker_main = engine_local.worker_main  # before a test replaces it


def main(connection, job, share) -> None:  # type: ignore[no-untyped-def]
    from compressor.batch import work

    class Watched(work.Worker):
        def prepare(self, entry):  # type: ignore[no-untyped-def]
            Path(os.environ[NOTES], str(os.getpid())).write_text(str(cores.count))
            return super().prepare(entry)

    work.Worker = Watched  # type: ignore[misc]
    worker_main(connection, job, share)
