"""Random histories of ledgers, events, restarts and kills, compared with a slow reference."""

import contextlib
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from compressor.footprint import Drivers, amounts
from compressor.ledger.ledger import Ledger
from compressor.ledger.schema import RESTORED
from tests.exporter.support import CREDITED, DAY, Bench, added, avoided
from tests.ledger.ledgers import COPY, IN_PLACE, write
from tests.reference.accrual import Slow


class Killed(BaseException):
    pass


class Mortal:
    """A connection whose process is killed before one of its next statements."""

    def __init__(self, database: sqlite3.Connection, statements: int) -> None:
        self._database, self._left = database, statements

    def _live(self) -> None:
        self._left -= 1
        if self._left < 0:
            self._database.close()  # loses what was not committed, as a kill does
            raise Killed

    def execute(self, *values: Any) -> sqlite3.Cursor:
        self._live()
        return self._database.execute(*values)

    def executemany(self, *values: Any) -> sqlite3.Cursor:
        self._live()
        return self._database.executemany(*values)

    @property
    def in_transaction(self) -> bool:
        return False

    def close(self) -> None:
        self._database.close()


class World:
    """Ledgers that grow, shrink, disappear and return, and the truth about each."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.objects: dict[str, dict[str, tuple[int, int]]] = {}
        self.facts = {"a": IN_PLACE, "b": COPY, "c": IN_PLACE}
        self.ended: set[str] = set()
        self.missing: set[str] = set()
        self.deleted: set[tuple[str, str]] = set()

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.{'missing' if name in self.missing else 'ledger'}"

    def change(self) -> None:
        """Change one thing at random."""
        name, rng = self.rng.choice("abc"), self.rng
        chance = rng.random()
        if name in self.objects and chance < 0.15:
            before = self.path(name)
            self.missing ^= {name}
            before.rename(self.path(name))
        elif name in self.objects and chance < 0.18 and name not in self.ended:
            self.ended.add(name)
            with Ledger(self.path(name)) as ledger:
                ledger.set_fact(RESTORED, "begun")
        elif name not in self.missing and name not in self.ended:
            shard = rng.choice([number for number in (1, 2, 3) if number <= 1 + self.shards(name)])
            size = rng.randrange(100, 1000)
            self.write(name, f"{shard}/{rng.randrange(4)}-{name}", size, rng.choice([size, size // 2, size // 3]))

    def write(self, name: str, key: str, size: int, out: int) -> None:
        if (name, key) not in self.deleted:
            self.objects.setdefault(name, {})[key] = (size, out)
            write(self.path(name), {key: (size, out)}, self.facts[name], shard=int(key[0]), cpu=self.rng.random())

    def shards(self, name: str) -> int:
        return max((int(key[0]) for key in self.objects.get(name, {})), default=0)

    def found(self) -> dict[str, tuple[str, dict[int, tuple[int, int]]] | None]:
        """Return the status and the shards of each ledger that can be read."""
        result: dict[str, tuple[str, dict[int, tuple[int, int]]] | None] = {}
        for name, objects in self.objects.items():
            if name in self.missing:
                continue
            kind = "ended" if name in self.ended else "added" if self.facts[name] is COPY else "avoided"
            shards = {}
            for shard in range(1, 1 + self.shards(name)):
                smaller = [(size, out) for key, (size, out) in objects.items() if key[0] == str(shard) and out < size]
                shards[shard] = (sum(size - out for size, out in smaller), sum(out for _, out in smaller))
            result[name] = (kind, shards)
        return result


SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.heavy) for seed in range(3, 60))]


@pytest.mark.parametrize("seed", SEEDS)
def test_any_history_accrues_the_same_as_the_slow_reference(tmp_path: Path, seed: int) -> None:
    """Compare byte-seconds with the reference, and assert that no counter ever falls.

    Ticks come at any time; there are restarts, kills between any two statements, resumed runs, ledgers that disappear
    and return, deletions, confirmations, and clocks that go back.
    """
    rng = random.Random(seed)
    bench = Bench(tmp_path, feeds=(tmp_path / "feed.jsonl",), max_credit_days=30)
    world, slow, day, before = World(tmp_path, rng), Slow(30), 0, bench.exporter.readings()
    start = bench.now
    for name in "abc":
        world.write(name, f"1/0-{name}", 1000, 400)
    for number in range(50):
        day = max(0, day + rng.choice([0, 1, 2, 5, 20, -3]))
        bench.now = start + day * DAY
        for _ in range(rng.randrange(3) if number > 8 else 0):
            world.change()
        slow.tick(day, world.found())
        if number > 8:
            events(bench, world, slow, day, rng)
        found = survive(bench, rng)

        assert avoided(found) == pytest.approx(slow.avoided, rel=1e-9)
        assert added(found) == pytest.approx(slow.added, rel=1e-9)
        assert found.counters["avoided_egress_bytes", "unknown"] == slow.unsent
        assert all(found.counters[of] >= value for of, value in before.counters.items())
        for of, bounds in before.amounts.items():
            assert all(now >= was for now, was in zip(found.amounts[of], bounds, strict=True))
        before = found
    assert slow.avoided > 0 and slow.added > 0
    estimate = amounts(CREDITED.estimate(Drivers(0.0, 0.0, stored_byte_seconds=avoided(before) * DAY)))
    expected = list(estimate["avoided", "energy", "storage"])
    assert list(before.amounts["avoided", "energy", "storage"]) == pytest.approx(expected, rel=1e-9)


def events(bench: Bench, world: World, slow: Slow, day: int, rng: random.Random) -> None:
    """Append events after the ledgers were observed, so that they take effect on the same day."""
    if rng.random() < 0.15:
        name = rng.choice(["a", "c", None])
        if name is None or name in world.found():
            bench.append_event("confirm", **({} if name is None else {"ledger": str(world.path(name))}))
            slow.confirm(day, name)
    if rng.random() < 0.3:
        present = {of: seen for of, seen in world.found().items() if seen is not None and seen[0] != "ended"}
        choices = [
            (name, key)
            for name in present
            for key, (size, out) in world.objects[name].items()
            if out < size and (name, key) not in world.deleted
        ]
        if choices:
            name, key = rng.choice(choices)
            world.deleted.add((name, key))
            size, out = world.objects[name][key]
            for count in range(rng.randrange(4)):
                bench.append_event("download", key=key, count=count)
                slow.unsent += count * (size - out)
            bench.append_event("delete", key=key)
            slow.delete(name, int(key[0]), size - out, out)


def survive(bench: Bench, rng: random.Random) -> Any:
    """Return the current readings, after a few kills on the way."""
    for _ in range(rng.randrange(4)):
        state: Any = bench.exporter._state
        state._database = Mortal(state._database, rng.randrange(60))
        with contextlib.suppress(Killed):
            bench.observe()
        bench.restart()
    return bench.observe()
