"""The limits of a server's settings: one table, and checks of addresses and names.

They are checked when a `ServerConfig` is made, before anything starts or listens. Each error names the setting.
"""

from collections.abc import Mapping
from typing import Any

from compressor.errors import SettingsError
from compressor.sniff import FORMAT_SUFFIXES, format_named

PORT_MAX = 65535
MIB = 1 << 20

# The lowest and the highest value of each number. Integers: only whole numbers.
LIMITS: Mapping[str, tuple[float, float]] = {
    "workers": (1, 256),
    # A call of 64 × 64 pixels reserves up to 18 MB (a BMP whose score is measured), and 1.2 MB like any other.
    "memory_budget": (32 * MIB, 1 << 50),
    "spool_budget": (MIB, 1 << 50),
    # From one frame of the default size to the largest window (RFC 9113, 6.5.2 and 6.9.1).
    "window_bytes": (1 << 14, (1 << 31) - 1),
    "header_seconds": (0.1, 86400.0),
    "idle_seconds": (0.1, 86400.0),
    "min_bytes_per_second": (1, 1 << 30),
    "max_call_seconds": (0.1, 604800.0),
    "queue_seconds": (0.001, 86400.0),
    "max_concurrent_calls": (1, 65536),
    "max_calls_per_peer": (1, 65536),
    "max_connections": (1, 1 << 20),
    "drain_seconds": (0.0, 3600.0),
    "grace_seconds": (0.0, 86400.0),
}
WINDOWS_IN_BUDGET = 4  # windows that must fit in the memory budget, which they are charged to


def check_number(field: str, value: Any) -> None:
    """Raise SettingsError if a number is outside its limits, not finite, or not whole where it must be."""
    low, high = LIMITS[field]
    kinds = int if isinstance(low, int) else (int, float)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN is neither
        raise SettingsError(field, f"is {value!r}, must be {low:.16g} to {high:.16g}")


def check_window(window_bytes: int, memory_budget: int) -> None:
    """Raise SettingsError if the HTTP/2 window of a call takes too much of the memory budget."""
    if window_bytes * WINDOWS_IN_BUDGET > memory_budget:
        limit = memory_budget // WINDOWS_IN_BUDGET
        problem = f"is {window_bytes}, must be at most {limit}, a quarter of memory_budget, which it is charged to"
        raise SettingsError("window_bytes", problem)


def check_address(field: str, address: object) -> None:
    """Raise SettingsError if an address is not HOST:PORT with a port up to 65535."""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > PORT_MAX:
        raise SettingsError(field, f"is {address!r}, must be HOST:PORT such as 127.0.0.1:50051 or [::]:50051")


def checked_formats(formats: tuple[str, ...]) -> tuple[str, ...]:
    """Return the formats by name. Raise SettingsError if there are none, or one that is not known."""
    names = tuple(map(format_named, formats))
    for name in names:
        if name not in FORMAT_SUFFIXES:
            raise SettingsError("formats", f"has {name!r}, must be of {', '.join(FORMAT_SUFFIXES)}")
    if not formats:
        raise SettingsError("formats", f"is empty, must be of {', '.join(FORMAT_SUFFIXES)}")
    return names
