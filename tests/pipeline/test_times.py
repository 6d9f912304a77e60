"""The times of the work on an image: waits for memory and for cores, and when each stage ran."""

import threading
import time
from typing import Any

import numpy as np

from compressor.cores import CoreScheduler, Demand
from compressor.memory import Resources
from compressor.pipeline import stream
from compressor.pipeline.stages import Stages
from compressor.settings import Raw, Settings, Tile

PIXELS = np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8)
RAW = Raw(width=96, height=64, channels=3, tile_width=96, tile_height=64)


def run(resources: Resources) -> Any:
    with stream([Tile(0, 0, PIXELS.tobytes())], Settings(), raw=RAW, resources=resources) as running:
        began = time.monotonic()
        assert b"".join(running)
        return began, running.times, time.monotonic()


def test_stages_have_intervals_within_the_work() -> None:
    began, times, ended = run(Resources())

    assert set(times.stage_intervals) >= {"encode", "container"}
    for first, last in times.stage_intervals.values():
        assert began <= first <= last <= ended
    for stage, seconds in times.stage_seconds.items():
        if seconds > 0.001:
            first, last = times.stage_intervals[stage]
            assert last - first > seconds / 2
    assert times.waited_seconds["memory"] < 0.2


def test_the_wait_for_memory_is_measured() -> None:
    resources = Resources(memory_budget=16 << 20)
    held = resources.reservation()
    held.extend(16 << 20)
    release = threading.Timer(0.3, held.close)
    release.start()
    _, times, _ = run(resources)

    assert 0.2 < times.waited_seconds["memory"] < 5
    begin, end = times.queue_intervals["memory"]
    assert end - begin == times.waited_seconds["memory"]


def test_the_waits_for_cores_are_measured_and_added_up() -> None:
    scheduler, demand = CoreScheduler(1), Demand()
    waits, seconds = 2, 0.2
    for _ in range(waits):
        held, released = threading.Event(), threading.Event()

        def hold(held: threading.Event = held, released: threading.Event = released) -> None:
            scheduler.acquire()
            held.set()
            released.wait(seconds)
            scheduler.release()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        scheduler.acquire(demand)
        scheduler.release()
        holder.join()

    assert waits * seconds * 0.8 < demand.waited_seconds < waits * seconds + 5
    assert demand.first_wait is not None
    first = demand.first_wait[1] - demand.first_wait[0]
    assert seconds * 0.8 < first < demand.waited_seconds - seconds * 0.8


def test_without_a_wait_for_a_core_there_is_no_interval() -> None:
    scheduler, demand = CoreScheduler(1), Demand()
    scheduler.acquire(demand)
    scheduler.release()

    assert (demand.waited_seconds, demand.first_wait) == (0.0, None)
    assert Stages().times(None).queue_intervals == {}
