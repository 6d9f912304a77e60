"""A process of its own that makes the JPEG of an archive, of which nothing is known but what its header says.

The library believes every header in the codestream. Here it can take no more memory than was charged and no more CPU
time than images of its size take, and its crash is not that of the caller. The archive is the standard input of the
process, and the JPEG its standard output.
"""

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

from compressor.archive.library import ArchiveError, jpeg_of, require_library
from compressor.spool import CHUNK_BYTES

CODE = "import sys; sys.path[:] = {path!r}; from compressor.archive.child import serve; serve({limit}, {memory}, {cpu})"
# Address space that is reserved and not used: the arenas of the allocator, and what a buffer grows by.
SLACK_BYTES = 64 << 20
MESSAGE_BYTES_MAX = 1000
CPU_SECONDS = 30  # that any archive may take, besides a second for each of so many pixels: thirty times the usual
PIXELS_PER_SECOND = 1_000_000


def unarchived(
    chunks: Iterable[bytes], limit_bytes: int, memory_bytes: int, pixels: int, on_spent: Callable[[float], None]
) -> Iterator[bytes]:
    """Yield the JPEG of an archive. Raise ArchiveError if none of at most `limit_bytes` can be made.

    memory_bytes  that the library may take
    pixels        of the image, which limit the CPU time
    on_spent      called with the CPU seconds of the process when it has ended
    """
    cpu_seconds = CPU_SECONDS + pixels // PIXELS_PER_SECOND
    code = CODE.format(path=sys.path, limit=limit_bytes, memory=memory_bytes, cpu=cpu_seconds)
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


def serve(limit_bytes: int, memory_bytes: int, cpu_seconds: int) -> None:
    """Run the process."""
    try:
        require_library()
        jxl = sys.stdin.buffer.read()
        with open("/proc/self/status") as status:
            taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData:"))
        allowed = taken + memory_bytes + SLACK_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))
        limit_cpu(cpu_seconds)
        sys.stdout.buffer.write(jpeg_of(jxl, limit_bytes))
        sys.stdout.buffer.flush()
    except (ArchiveError, MemoryError, OSError) as error:
        sys.exit(str(error) or "out of memory")
