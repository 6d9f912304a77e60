"""Make a process on Linux resemble one on macOS: Python imports this file at its start if its folder is in PYTHONPATH.

What Python has only on Linux is taken away, and `sys.platform` is "darwin". The list is that of the "Availability"
notes in Python's documentation. What stays is Linux underneath: file names, compiled libraries, and error numbers.
"""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import select
import selectors
import signal
import socket
import sys
import time
import types
from typing import Any

LINUX_ONLY: dict[types.ModuleType, tuple[str, ...]] = {
    os: (
        *("copy_file_range", "eventfd", "fdatasync", "memfd_create", "pidfd_open", "pipe2", "splice", "unshare"),
        *("posix_fadvise", "posix_fallocate", "sched_getaffinity", "sched_setaffinity", "sched_getscheduler"),
        *("getxattr", "listxattr", "removexattr", "setxattr", "getrandom", "getresuid", "setresuid", "waitid"),
        *("O_DIRECT", "O_LARGEFILE", "O_NOATIME", "O_PATH", "O_RSYNC", "O_TMPFILE", "SCHED_BATCH"),
    ),
    selectors: ("EpollSelector",),
    select: ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLL_CLOEXEC"),
    signal: ("SIGRTMIN", "SIGRTMAX", "SIGPWR", "SIGSTKFLT", "pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    socket: ("AF_NETLINK", "AF_PACKET", "SOCK_CLOEXEC", "SOCK_NONBLOCK", "SO_PEERCRED", "TCP_USER_TIMEOUT"),
    resource: ("prlimit", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_SIGPENDING", "RUSAGE_THREAD"),
    fcntl: ("F_ADD_SEALS", "F_GETPIPE_SZ", "F_OFD_SETLK", "F_SETPIPE_SZ"),
    time: ("CLOCK_BOOTTIME", "CLOCK_TAI", "pthread_getcpuclockid"),
}
C_LIBRARY_OF_LINUX = {"copy_file_range", "mallopt", "malloc_trim", "renameat2", "memfd_create", "statx"}
FOLDERS_OF_LINUX = ("/proc", "/sys")

for module, names in LINUX_ONLY.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)

setattr(selectors, "DefaultSelector", selectors.PollSelector)  # noqa: B010 - `socket` has imported the module before
sys.platform = "darwin"
_uname = os.uname
platform.system = lambda: "Darwin"
os.uname = lambda: os.uname_result(("Darwin", _uname().nodename, "24.0.0", "Darwin Kernel", _uname().machine))

# With this platform, urllib.request imports it to ask the system for its proxies.
_scproxy: Any = types.ModuleType("_scproxy")
_scproxy._get_proxies = _scproxy._get_proxy_settings = dict
sys.modules["_scproxy"] = _scproxy


def _hide(event: str, arguments: tuple[Any, ...]) -> None:
    """Raise FileNotFoundError when a file or folder is opened that macOS does not have."""
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes | os.PathLike):
        path = os.fsdecode(arguments[0])
        if any(path == folder or path.startswith(f"{folder}/") for folder in FOLDERS_OF_LINUX):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


sys.addaudithook(_hide)

_getattr = ctypes.CDLL.__getattr__


def _symbol(library: ctypes.CDLL, name: str) -> Any:
    if name in C_LIBRARY_OF_LINUX:
        raise AttributeError(f"symbol not found: {name}")
    return _getattr(library, name)


ctypes.CDLL.__getattr__ = _symbol  # type: ignore[method-assign]

_socketpair = socket.socketpair


def _pair(family: int = socket.AF_UNIX, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> Any:
    """Return two connected sockets. Those of macOS can't be of this kind."""
    if kind == socket.SOCK_SEQPACKET:
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    return _socketpair(family, kind, protocol)


setattr(socket, "socketpair", _pair)  # noqa: B010
