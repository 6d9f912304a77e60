"""Run a command and report its use: python launcher.py OUTPUT COMMAND…

The last line of standard output is "code CPU-seconds wall-seconds peak-bytes"; OUTPUT gets what the command prints. It
runs in a process of its own, because Linux counts the memory of the process that starts another one as the peak of the
latter. This one has 10 MB.
"""

import os
import sys
import time

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def main(output: str, *command: str) -> None:
    """Run the command, and print the report."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, output, NEW, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status, used = os.wait4(pid, 0)
    seconds = time.perf_counter() - start
    print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, seconds, used.ru_maxrss << 10)


if __name__ == "__main__":
    main(*sys.argv[1:])
