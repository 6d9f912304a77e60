"""Events about results: downloads, bytes sent, deletions, and confirmations that they still exist."""

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
# unknown: about no object or ledger that counts; ambiguous: about several; invalid: not an event that we understand
RESULTS = ("counted", "unknown", "ambiguous", "invalid")
TIME_MAX, COUNT_MAX, BYTES_MAX = 1e12, 1e12, 1e18  # of one event; more is a mistake


class InvalidError(Exception):
    """A line that is not an event."""


class UnknownError(Exception):
    """An event about an unknown ledger."""


@dataclass(slots=True)
class Events:
    """Applies lines to the state, in a transaction.

    now             when they are read, from when on they are effective
    credit_seconds  how long a confirmation is effective
    may_credit      whether avoided storage is credited at all
    unsent_bytes    saved bytes × downloads that did not send them, of all lines so far
    """

    state: State
    now: float
    credit_seconds: float
    may_credit: bool
    unsent_bytes: float = 0.0

    def take(self, line: bytes) -> tuple[str, str]:
        """Apply a line; return the kind of event, and the result."""
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
        found = self._find(key, ledger, absent=False)
        if len(found) != 1:
            return "ambiguous" if found else "unknown"
        self.unsent_bytes += count * found[0].saved
        return "counted"

    def _egress(self, sent: float, ledger: int | None) -> str:
        """Count bytes sent of results in general: for each of them, saved / out bytes were not sent."""
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
        """Delete a key from all ledgers that know it: that errs against us."""
        found = self._find(key, ledger, absent=True)
        for one in found:
            index.delete(self.state, one)
        return "counted" if found else "unknown"

    def _find(self, key: str, ledger: int | None, *, absent: bool) -> list[index.IndexedObject]:
        """Look up a key as given, or else percent-decoded, as if it came from a URL."""
        found = index.look_up(self.state, encode_key(key), ledger, absent=absent)
        return found or (index.look_up(self.state, unquote_to_bytes(key), ledger, absent=absent) if "%" in key else [])

    def _ledger(self, event: dict[str, Any]) -> int | None:
        """Return the number of the ledger that an event names; None if it names none."""
        if (path := event.get("ledger")) is None:
            return None
        if not isinstance(path, str) or not path:
            raise InvalidError
        found = self.state.run("SELECT number FROM ledgers WHERE path = ?", os.path.realpath(path)).fetchone()
        if found is None:
            raise UnknownError
        return int(found[0])


def key_of(event: dict[str, Any]) -> str:
    """Return the key that an event names."""
    key = event.get("key")
    if not isinstance(key, str) or not key:
        raise InvalidError
    return key


def number(event: dict[str, Any], name: str, most: float, default: float | None = None) -> float:
    """Return a field's value, from 0 to `most`."""
    value = event.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InvalidError
    return float(value)
