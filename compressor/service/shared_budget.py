"""A budget that several processes share: each has a share of it, and what some do not use is moved to others.

The process that keeps the budget sends amounts to add to a share, and a *ceiling*: a share above it falls to it as soon
as what is in use allows. A process sends the share that it wants, and the amounts that it gives back. An amount belongs
to the receiver from the moment it is sent, so that the shares never exceed the budget, whatever is on its way.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from compressor.memory import Resources

NO_CEILING = 1 << 62


@dataclass(slots=True)
class Share:
    """The share of one process, as the one that keeps the budget knows it.

    bytes    including what is on its way in either direction
    wanted   the share that the process has asked for; 0: it has enough
    ceiling  the last one that was sent
    """

    bytes: int = 0
    wanted: int = 0
    ceiling: int = NO_CEILING


class SharedBudget:
    """A budget, and the shares of all processes.

    total    bytes of the budget
    minimum  share that each process has, used or not
    floor    share that an unused one falls to when others ask. It falls to 0 for a request that needs even that
    grow     called with a process and the bytes that are added to its share
    limit    called with a process and its new ceiling

    Requests are served in the order of their arrival. Until the first one is satisfied, it gets all that others give
    back. A process that has less than the minimum is served after those that have asked.
    """

    def __init__(
        self,
        total: int,
        minimum: int,
        floor: int,
        grow: Callable[[Hashable, int], None],
        limit: Callable[[Hashable, int], None],
    ) -> None:
        self._total, self._minimum, self._floor = total, minimum, floor
        self._grow, self._limit = grow, limit
        self._shares: dict[Hashable, Share] = {}
        self._asking: list[Hashable] = []  # in the order of arrival, until they withdraw their requests
        self.idle = total  # bytes that are in no share

    def share_of(self, process: Hashable) -> int:
        """Return the bytes of a process's share."""
        return self._shares[process].bytes

    def join(self, process: Hashable) -> int:
        """Return the first share of a new process: the minimum, or what is idle at the moment if that is less."""
        first = min(self._minimum, self.idle)
        self.idle -= first
        self._shares[process] = Share(first)
        return first

    def leave(self, process: Hashable) -> None:
        """Take back the share of a process that has ended."""
        self.idle += self._shares.pop(process).bytes
        if process in self._asking:
            self._asking.remove(process)
        self._settle()

    def ask(self, process: Hashable, wanted: int) -> None:
        """Raise the share of a process to `wanted` bytes as soon as possible; 0 withdraws the request."""
        share = self._shares[process]
        served = share.bytes >= share.wanted  # then this is another request, the last one in the order
        share.wanted = min(wanted, self._total)
        if process in self._asking and (served or not wanted):
            self._asking.remove(process)
        if process not in self._asking and wanted:
            self._asking.append(process)
        self._settle()

    def give_back(self, process: Hashable, count: int) -> None:
        """Take back `count` bytes that a process has sent."""
        self._shares[process].bytes -= count
        self.idle += count
        self._settle()

    def _settle(self) -> None:
        """Distribute what is idle, and set the ceilings that the first unsatisfied request needs."""
        first = self._distribute()
        ceilings = dict.fromkeys(self._shares, NO_CEILING)
        if first is not None:
            process, wanted = first
            missing = wanted - self._shares[process].bytes
            others = [other for other in self._shares if other != process]
            floor = self._floor if wanted <= self._total - self._floor * len(others) else 0
            for other in others:
                share = self._shares[other]
                # Until it withdraws a request that was served, a process may not have used its share.
                served = share.wanted if share.bytes >= share.wanted else 0
                ceilings[other] = max(floor, served, share.bytes - missing)
        for process, ceiling in ceilings.items():
            share = self._shares[process]
            if ceiling >= share.bytes:
                ceiling = NO_CEILING
            if share.ceiling != ceiling:
                share.ceiling = ceiling
                self._limit(process, ceiling)

    def _distribute(self) -> tuple[Hashable, int] | None:
        """Add idle bytes to the shares of those that have asked, in order, and then of those below the minimum.

        Return the first process that needs more than is idle, and the share that it needs.
        """
        for process in self._asking:
            share = self._shares[process]
            # Some more than it needs now, or each call would cost a message.
            self._add(process, share.wanted - share.bytes, more=self._minimum // 8)
            if share.bytes < share.wanted:
                return process, share.wanted
        for process, share in self._shares.items():
            self._add(process, self._minimum - share.bytes)
            if share.bytes < self._minimum:
                return process, self._minimum
        return None

    def _add(self, process: Hashable, missing: int, more: int = 0) -> None:
        count = min(max(missing, more), self.idle) if missing > 0 else 0
        if count > 0:
            self.idle -= count
            self._shares[process].bytes += count
            self._grow(process, count)


class BudgetShares:
    """The shares of this process in both budgets: moves bytes between its `Resources` and the `SharedBudget`.

    ask        called with "memory" or "spool" and the share that is wanted; 0: it has enough
    give_back  called with "memory" or "spool" and the bytes that this process gives back

    Both are called with the lock of the resources held, so that messages leave in the order of what they report.
    """

    KINDS = ("memory", "spool")

    def __init__(
        self, resources: Resources, ask: Callable[[str, int], None], give_back: Callable[[str, int], None]
    ) -> None:
        self._resources, self._ask, self._give_back = resources, ask, give_back
        self._asked = dict.fromkeys(self.KINDS, 0)
        self._ceilings = dict.fromkeys(self.KINDS, NO_CEILING)

    def begin(self, memory: int, spool: int) -> None:
        """Begin with these shares."""
        self._resources.share(memory, spool, self._settle)

    def grow(self, kind: str, count: int) -> None:
        """Add `count` bytes to a share."""
        self._resources.change_share(**{kind: count})

    def limit(self, kind: str, ceiling: int) -> None:
        """Let a share fall to `ceiling`, now or when what is in use allows."""
        self._ceilings[kind] = ceiling
        if kind == "memory" and ceiling < NO_CEILING:
            # On another thread: a spool may wait for a share, whose message would be read by this one.
            threading.Thread(target=self._resources.vacate_spools, args=(ceiling,), daemon=True).start()
        self._resources.change_share()

    def _settle(self) -> None:
        """Give back what is idle above the ceiling, and ask for what is missing."""
        resources = self._resources
        shares = (resources.memory_budget, resources.spool_budget)
        for kind, share, (used, needed) in zip(self.KINDS, shares, resources.use, strict=True):
            if share is None:
                continue
            idle = share - max(used, self._ceilings[kind])
            if idle > 0:
                share -= idle
                self._give_back(kind, idle)
                resources.change_share(**{kind: -idle})
            wanted = needed if needed > share else 0
            if wanted != self._asked[kind]:
                self._asked[kind] = wanted
                self._ask(kind, wanted)
