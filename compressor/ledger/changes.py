"""The differences between a ledger's run and one that is to continue it, in words."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

TITLES = {
    "source": "SRC", "target": "DST", "keep": "keep-originals", "min_score": "min-score", "version": "compressor",
}  # fmt: skip


def changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return what differs between two runs, a setting at a time: "quality: 80 → 85", "metadata: keep → strip".

    was, now  facts as `Ledger.begin` takes them; those that only `now` has do not count
    """
    found: list[str] = []
    for name, value in now.items():
        if name not in was or was[name] == value:
            continue
        if name == "settings":
            found += _changed_settings(json.loads(was[name]), json.loads(value))
        else:
            found.append(f"{TITLES.get(name, name)}: {was[name] or 'none'} → {value or 'none'}")
    return found


def _changed_settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            yield f"{name.replace('_', '-')}: {setting_words(was.get(name))} → {setting_words(now.get(name))}"


def setting_words(value: Any) -> str:
    """Return the value of a setting as people write it."""
    if value is None or value is True or value is False:
        return {None: "none", True: "yes", False: "no"}[value]
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
