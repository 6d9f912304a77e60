"""A module that workers of test clusters preload: they log their calls, and die or are slow if a key says so.

A line for each call goes to the file that COMPRESSOR_TEST_NOTES names: JSON of PID, call, key or token.
"""

import json
import os
import signal
import time

from compressor.batch.job import Prepared
from compressor.ledger.records import ObjectResult
from compressor.stores.contract import Entry


def dask_setup(_: object) -> None:
    from compressor.batch import work

    class Watched(work.Worker):
        def prepare(self, entry: Entry) -> Prepared | ObjectResult:
            note("prepare", entry.key)
            if "poison" in entry.key:
                time.sleep(0.3)  # so that the others are working when it dies
                os.kill(os.getpid(), signal.SIGKILL)
            if "slow" in entry.key:
                time.sleep(1)
            if "broken" in entry.key:
                raise RuntimeError("two\nlines")
            return super().prepare(entry)

        def commit(self, token: str) -> ObjectResult | None:
            note("commit", token)
            return super().commit(token)

        def close(self) -> None:
            note("close", "")
            super().close()

    work.Worker = Watched  # type: ignore[misc]


def note(what: str, subject: str) -> None:
    with open(os.environ["COMPRESSOR_TEST_NOTES"], "a") as notes:
        notes.write(json.dumps([os.getpid(), what, subject]) + "\n")
