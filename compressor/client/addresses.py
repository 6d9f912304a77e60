"""The addresses of a service, and which of them gets the next call.

Each address has a gRPC channel of its own. Within a channel gRPC itself distributes calls, if the name has several
addresses.
"""

import json
import threading
import time
from collections.abc import Sequence

from compressor.errors import SettingsError
from compressor.v1 import compressor_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["CompressorService"].full_name
AVOIDED_SECONDS = 1.0
LISTS = ("ipv4:", "ipv6:")  # schemes whose targets are lists themselves
BALANCED = (*LISTS, "dns:")
ROUND_ROBIN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}})


def targets_of(address: str | Sequence[str]) -> list[str]:
    """Return the gRPC targets of an address: `host:port`, several of these (separated by commas, or a sequence), or one
    of gRPC's own. Raises SettingsError if one is empty.
    """
    if isinstance(address, str):
        address = [address] if address.startswith(LISTS) else address.split(",")
    targets = [one.strip() for one in address]
    if not all(targets) or not targets:
        raise SettingsError(
            "address", "is empty, must be HOST:PORT, several of these, or a gRPC target such as dns:///HOST:PORT"
        )
    return targets


def balancing_options(targets: Sequence[str]) -> list[tuple[str, str]]:
    """Return the gRPC options for `round_robin` and health checks, if there is more than one server to choose from.

    A single `host:port` has neither. It may be the virtual address of a load balancer: a connection through it can't be
    exchanged while its server drains, and that server still accepts calls.
    """
    if len(targets) == 1 and not targets[0].startswith(BALANCED):
        return []
    return [("grpc.service_config", ROUND_ROBIN)]


class Rotation:
    """The targets in turn. One whose connection was lost is avoided for a second, unless all were. Thread-safe."""

    def __init__(self, count: int) -> None:
        self._avoided_until = [0.0] * count
        self._next = 0
        self._has_answered = False
        self._lock = threading.Lock()

    def take(self) -> int:
        """Return the index of the target for the next attempt; if all are avoided, that which failed first."""
        with self._lock:
            count, now = len(self._avoided_until), time.monotonic()
            order = [(self._next + step) % count for step in range(count)]
            index = min(order, key=lambda one: max(now, self._avoided_until[one]))  # the first of equal ones
            self._next = (index + 1) % count
            return index

    def answered(self, index: int) -> None:
        """Note that a target sent a response."""
        self._has_answered = True
        self._avoided_until[index] = 0.0

    def lost(self, index: int) -> None:
        """Avoid a target that gave no connection, or lost it."""
        with self._lock:
            self._avoided_until[index] = time.monotonic() + AVOIDED_SECONDS

    def may_succeed(self) -> bool:
        """Return whether another attempt may succeed after a lost connection.

        It will not if no target has ever answered and none is left to try: then an address or a certificate is wrong.
        """
        with self._lock:
            now = time.monotonic()
            return self._has_answered or any(until <= now for until in self._avoided_until)
