"""A process of its own that makes the JPEG of an archive, of which nothing is known but what its header says.

The library believes every header in the codestream. Here it is ended if it takes more memory than was charged or more
CPU time than images of its size take, and its crash is not that of the caller. The archive is the standard input of the
process, and the JPEG its standard output.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from compressor.archive.library import ArchiveError, jpeg_of, require_library
from compressor.spool import CHUNK_BYTES
from compressor.usage import resident_bytes

CODE = """
import sys
sys.path[:] = {path!r}
from compressor.archive.child import serve
serve({limit}, {memory}, {untouched}, {cpu})
"""
SLACK_BYTES = 64 << 20  # the arenas of the allocator, and what a buffer grows by
# Of each pixel, in buffers that the library allocates for samples and never touches when it makes a JPEG: at most 12.2
# were measured (48 megapixels, grey).
UNTOUCHED_BYTES = 16
WATCH_SECONDS = 0.01
MESSAGE_BYTES_MAX = 1000
OUT_OF_MEMORY = "out of memory"
CPU_SECONDS = 30  # that any archive may take, besides a second for each of so many pixels: thirty times the usual
PIXELS_PER_SECOND = 1_000_000


def unarchived(
    chunks: Iterable[bytes], limit_bytes: int, memory_bytes: int, pixels: int, on_spent: Callable[[float], None]
) -> Iterator[bytes]:
    """Yield the JPEG of an archive. Raise ArchiveError if none of at most `limit_bytes` can be made.

    memory_bytes  that the library may take
    pixels        of the image, which limit the address space and the CPU time
    on_spent      called with the CPU seconds of the process when it has ended
    """
    untouched, cpu_seconds = UNTOUCHED_BYTES * pixels, CPU_SECONDS + pixels // PIXELS_PER_SECOND
    code = CODE.format(path=sys.path, limit=limit_bytes, memory=memory_bytes, untouched=untouched, cpu=cpu_seconds)
    pipe = subprocess.PIPE
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    ) as process:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended, and says why
                for chunk in chunks:
                    process.stdin.write(chunk)
            while chunk := process.stdout.read(CHUNK_BYTES):
                yield chunk
            problem = process.stderr.read(MESSAGE_BYTES_MAX).decode(errors="replace")
        except BaseException:
            process.kill()
            raise
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    on_spent(usage.ru_utime + usage.ru_stime)
    if process.returncode:
        died = process.returncode < 0 and f"the library died of {signal.Signals(-process.returncode).name}"
        raise ArchiveError(died or " ".join(problem.split()))


def limit_cpu(seconds: int) -> None:
    """Have this process end by SIGXCPU after so many CPU seconds."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def limit_memory(more_bytes: int, untouched_bytes: int) -> None:
    """Have allocations fail, or this process end, when it takes more than so many bytes beyond those that it has."""
    with open("/proc/self/status") as status:
        taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData:"))
    space = taken + more_bytes + untouched_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (space, space))
    most = resident_bytes() + more_bytes
    threading.Thread(target=_end_beyond, args=(most,), daemon=True).start()


def serve(limit_bytes: int, memory_bytes: int, untouched_bytes: int, cpu_seconds: int) -> None:
    """Run the process.

    Its address space is limited at once, and what it uses of that a hundredth of a second late.
    """
    try:
        require_library()
        jxl = sys.stdin.buffer.read()
        limit_cpu(cpu_seconds)
        with contextlib.suppress(FileNotFoundError):  # without proc(5), as on macOS, there is no limit on memory
            limit_memory(memory_bytes + SLACK_BYTES, untouched_bytes)
        sys.stdout.buffer.write(jpeg_of(jxl, limit_bytes))
        sys.stdout.buffer.flush()
    except (ArchiveError, MemoryError, OSError) as error:
        sys.exit(str(error) or OUT_OF_MEMORY)


def _end_beyond(most: int) -> None:
    """End the process when more than so many bytes of it are resident."""
    while resident_bytes() <= most:
        time.sleep(WATCH_SECONDS)
    os.write(sys.stderr.fileno(), OUT_OF_MEMORY.encode())
    os._exit(1)
