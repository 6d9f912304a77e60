"""Several images compressed at once, by threads: kernels and codecs run without the GIL."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compressor.cli.listing import ImageFile
from compressor.cli.result_files import Written

if TYPE_CHECKING:
    from concurrent.futures import Future

JOBS_MAX = 256
AHEAD = 32  # images for each thread that may be complete before an earlier one is


@dataclass(frozen=True, slots=True)
class CompressedImage:
    """An image, and what became of it. written: None if it failed, with the `error`. seconds: wall-clock time."""

    file: ImageFile
    written: Written | None
    error: Exception | None
    seconds: float


def compress_one(file: ImageFile, work: Callable[[ImageFile], Written]) -> CompressedImage:
    """Do the work for an image; an error is part of what is returned."""
    start = time.perf_counter()
    written, error = None, None
    try:
        written = work(file)
    except Exception as caught:
        error = caught
    return CompressedImage(file, written, error, time.perf_counter() - start)


def compress_many(
    files: Sequence[ImageFile], work: Callable[[ImageFile], Written], jobs: int
) -> Iterator[CompressedImage]:
    """Yield what became of each image, in the order of the files, while up to `jobs` are compressed at once."""
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[Future[CompressedImage]] = deque()
    pool = ThreadPoolExecutor(jobs)
    try:
        for file in files:
            waiting.append(pool.submit(compress_one, file, work))
            while waiting and (waiting[0].done() or len(waiting) >= AHEAD * jobs):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def default_memory_budget() -> int:
    """Return half of the machine's memory, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
