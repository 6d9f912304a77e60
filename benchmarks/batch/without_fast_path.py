"""`compressor batch` with `compressor/stores/s3_fast_path.py` disabled, so that boto3 sends every S3 request.

    python -m benchmarks.batch.without_fast_path batch SRC DST …

Worker processes import this module, which applies the patch in them, too.
"""

import importlib
from multiprocessing.connection import Connection
from unittest.mock import patch

from compressor.batch import engine_local
from compressor.batch.job import Job
from compressor.cli.start import main
from compressor.stores.s3_fast_path import FastPath

NAME = "benchmarks.batch.without_fast_path"
worker_main = engine_local.worker_main  # before it is replaced
patch.object(FastPath, "discover", lambda *_: False).start()


def run_worker(connection: Connection, job: Job, share: int) -> None:
    """Run a worker process in which this module has been imported."""
    worker_main(connection, job, share)


if __name__ == "__main__":
    engine_local.worker_main = importlib.import_module(NAME).run_worker  # not __main__'s, which workers don't have
    main()
