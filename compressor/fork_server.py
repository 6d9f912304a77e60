"""A process that imports what worker processes need, once, and then forks them.

It is started early, so that it imports while its parent does other things. It has a single thread, opens no store and
no ledger, and receives requests over a socket, each with its length in front: with a file descriptor, the target and
the arguments of a process to fork; without one, the number of a process whose exit status is wanted. Each answer is
one number. It ends when its parent does.
"""

import contextlib
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import NoReturn, Self

from compressor import usage
from compressor.errors import CompressorError

MESSAGE_BYTES_MAX = 1 << 17
LENGTH, NUMBER = struct.Struct("!I"), struct.Struct("!q")  # of a request; an answer
CODE = "import sys; sys.path[:] = {path!r}; from compressor.fork_server import serve; serve({fd}, {modules!r})"


class Forked:
    """A process that a server was asked to fork."""

    def __init__(self, server: "ForkServer") -> None:
        self._server = server
        self.known_pid: int | None = None

    @property
    def pid(self) -> int:
        """The process's number. Waits until it is forked; raises CompressorError where it can't be."""
        while self.known_pid is None:
            self._server.receive_pid()
        return self.known_pid

    @property
    def exists(self) -> bool:
        """False if the server has not forked the process yet."""
        self._server.receive_answers()
        return self.known_pid is not None

    def kill(self) -> None:
        """Kill the process, unless it has ended."""
        with contextlib.suppress(ProcessLookupError):  # the number is not reused before `wait`
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until the process has ended, and return its exit code, negative for a signal. Called once."""
        return self._server.wait(self.pid)


class ForkServer:
    """A server's parent. Used by one thread."""

    def __init__(self, *modules: str) -> None:
        """Start the server, which imports `modules`.

        SIGINT, which a terminal sends to all processes, stays blocked in the server and in all forks.
        """
        self._socket, theirs = socket.socketpair()  # a stream: macOS has no SOCK_SEQPACKET
        self._waiting: deque[Forked] = deque()  # for their numbers
        self._used = self._closed = False
        code = CODE.format(path=sys.path, fd=theirs.fileno(), modules=modules)
        environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}  # a fork has one thread only
        with theirs, _sigint_blocked():
            self._process = subprocess.Popen(
                [sys.executable, "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
            )

    def fork(self, connection: Connection, target: Callable[..., None], *arguments: object) -> Forked:
        """Have a process forked that calls `target` with a copy of the connection and with the arguments.

        Does not wait for the process.
        """
        message = pickle.dumps((target, arguments))
        if len(message) > MESSAGE_BYTES_MAX:
            raise CompressorError(f"{len(message)} bytes of arguments are too many for a worker process")
        forked = Forked(self)
        with self._errors():
            socket.send_fds(self._socket, [LENGTH.pack(len(message))], [connection.fileno()])
            self._socket.sendall(message)
        self._waiting.append(forked)
        self._used = True
        return forked

    def receive_pid(self) -> None:
        """Receive the number of the process whose request is the oldest one without an answer."""
        self._waiting[0].known_pid = self._receive()
        self._waiting.popleft()

    def receive_answers(self) -> None:
        """Receive the numbers that have arrived, if the server has not ended."""
        with contextlib.suppress(CompressorError):
            while self._waiting and select.select([self._socket], [], [], 0)[0]:
                self.receive_pid()

    def wait(self, pid: int) -> int:
        """Wait until a process has ended, and return its exit code, negative for a signal."""
        while self._waiting:
            self.receive_pid()
        with self._errors():
            message = b"%d" % pid
            self._socket.sendall(LENGTH.pack(len(message)) + message)
        return self._receive()

    def _receive(self) -> int:
        with self._errors():
            answer: int = NUMBER.unpack(_read(self._socket, NUMBER.size))[0]
            return answer

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise CompressorError where the server has ended."""
        try:
            yield
        except (EOFError, OSError):
            status = self._process.wait()
            raise CompressorError(f"worker processes can't be started: their server ended with {status}") from None

    def close(self) -> None:
        """End the server: at once where it is still importing, otherwise when its processes have ended."""
        if self._closed:
            return
        self._closed = True
        self.receive_answers()
        self._socket.close()
        if not self._used or self._waiting:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT in processes that are started inside, from their start on."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _read(connection: socket.socket, count: int) -> bytes:
    """Return so many bytes. Raise EOFError where the other side ended before it had sent them."""
    data = b""
    while len(data) < count:
        if not (more := connection.recv(count - len(data))):
            raise EOFError
        data += more
    return data


# --- in the server ------------------------------------------------------------------------------------------------


def serve(requests: int, modules: Iterable[str]) -> None:
    """Run the server. `requests`: file descriptor of its socket."""
    for module in modules:
        with contextlib.suppress(Exception):  # a fork that needs it raises the error again, and handles it
            importlib.import_module(module)
    gc.freeze()  # a collection in a fork would copy every page that has objects
    charged = 0.0
    with contextlib.suppress(EOFError, OSError), socket.socket(fileno=requests) as parent:
        while True:
            start, files, _, _ = socket.recv_fds(parent, LENGTH.size, 1)
            (length,) = LENGTH.unpack(start + _read(parent, LENGTH.size - len(start)))
            message = _read(parent, length)
            if files:
                before, charged = charged, time.process_time()
                pid = os.fork()
                if pid == 0:
                    parent.close()
                    _run(message, files[0], charged - before)
                os.close(files[0])
                parent.sendall(NUMBER.pack(pid))
            else:
                _, status = os.waitpid(int(message), 0)
                parent.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    os._exit(0)


def _run(message: bytes, connection: int, inherited_seconds: float) -> NoReturn:
    """Run a forked process. `inherited_seconds`: CPU time of the server since the last fork, which this one is charged
    with."""
    code = 1
    try:
        usage.inherited_cpu_seconds = inherited_seconds
        target, arguments = pickle.loads(message)
        target(Connection(connection), *arguments)
        code = 0
    except Exception:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)
