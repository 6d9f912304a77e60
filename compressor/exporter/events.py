"""What somebody has seen of results: downloads, bytes sent, deletions, and that they are still there."""

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from compressor.exporter import index
from compressor.exporter.credit import AVOIDED, ENDED, confirm
from compressor.exporter.state import State
from compressor.ledger.records import encode_key

EVENTS = ("download", "egress", "delete", "confirm", "other")
# unknown: of no object or ledger that counts; ambiguous: of several; invalid: no event that we understand
RESULTS = ("counted", "unknown", "ambiguous", "invalid")
TIME_MAX, COUNT_MAX, BYTES_MAX = 1e12, 1e12, 1e18  # of one event; more is a mistake


class InvalidError(Exception):
    """Not an event."""


class UnknownError(Exception):
    """Of a ledger that is not known."""


@dataclass(slots=True)
class Events:
    """Takes lines into the state; in a transaction.

    now             when they are read: what they say holds from then on
    credit_seconds  for how long a confirmation does
    may_credit      whether anything stored is credited at all
    unsent_bytes    saved bytes × times they were not sent, of all lines so far
    """

    state: State
    now: float
    credit_seconds: float
    may_credit: bool
    unsent_bytes: float = 0.0

    def take(self, line: bytes) -> tuple[str, str]:
        """Which event it was, and what came of it."""
        name = "other"
        try:
            event = json.loads(line)
            if not isinstance(event, dict) or event.get("event") not in EVENTS[:-1]:
                raise InvalidError
            name = event["event"]
            time = number(event, "time", TIME_MAX)
            ledger = self._ledger(event)
            match name:
                case "download":
                    return name, self._download(key_of(event), number(event, "count", COUNT_MAX, 1.0), ledger)
                case "egress":
                    return name, self._egress(number(event, "bytes", BYTES_MAX), ledger)
                case "delete":
                    return name, self._delete(key_of(event), ledger)
                case _:
                    until = min(time, self.now) + self.credit_seconds
                    return name, "counted" if confirm(self.state, until, ledger) else "unknown"
        except UnknownError:
            return name, "unknown"
        except (InvalidError, ValueError, TypeError, RecursionError):
            return name, "invalid"

    def _download(self, key: str, count: float, ledger: int | None) -> str:
        found = self._find(key, ledger, gone=False)
        if len(found) != 1:
            return "ambiguous" if found else "unknown"
        self.unsent_bytes += count * found[0].saved
        return "counted"

    def _egress(self, sent: float, ledger: int | None) -> str:
        """Of results in general: for every byte of them saved / out bytes were not sent."""
        meant = "ledgers.number = ? AND kind <> ?" if ledger is not None else "? IS NULL AND kind = ?"
        kind = ENDED if ledger is not None else AVOIDED if self.may_credit else ""
        saved, out = self.state.run(
            "SELECT total(saved), total(out) FROM shards JOIN ledgers ON ledgers.number = ledger"
            f" WHERE done AND present AND {meant}", ledger, kind,
        ).fetchone()  # fmt: skip
        if not out:
            return "unknown"
        self.unsent_bytes += sent * saved / out
        return "counted"

    def _delete(self, key: str, ledger: int | None) -> str:
        """Where several ledgers know the key, it is gone from all: that errs against us."""
        found = self._find(key, ledger, gone=True)
        for one in found:
            index.delete(self.state, one)
        return "counted" if found else "unknown"

    def _find(self, key: str, ledger: int | None, *, gone: bool) -> list[index.Found]:
        """A key, or what it is when it was taken from a URL."""
        found = index.look_up(self.state, encode_key(key), ledger, gone=gone)
        return found or (index.look_up(self.state, unquote_to_bytes(key), ledger, gone=gone) if "%" in key else [])

    def _ledger(self, event: dict[str, Any]) -> int | None:
        """The one that an event names."""
        if (path := event.get("ledger")) is None:
            return None
        if not isinstance(path, str) or not path:
            raise InvalidError
        found = self.state.run("SELECT number FROM ledgers WHERE path = ?", os.path.realpath(path)).fetchone()
        if found is None:
            raise UnknownError
        return int(found[0])


def key_of(event: dict[str, Any]) -> str:
    key = event.get("key")
    if not isinstance(key, str) or not key:
        raise InvalidError
    return key


def number(event: dict[str, Any], name: str, most: float, otherwise: float | None = None) -> float:
    value = event.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidError
    return float(value)
