"""The times of one request's work."""

from collections.abc import Mapping
from dataclasses import dataclass, field

WorkInterval = tuple[float, float]  # begin and end, of time.monotonic()


@dataclass(frozen=True, slots=True)
class WorkTimes:
    """The times of the work on one request, as far as it came.

    stage_seconds     CPU time by stage: decode, encode, verify, score, container
    waited_seconds    time spent in queues, by resource: memory, cores
    stage_intervals   by stage, from its first work to its last. Stages overlap, since an image passes through them in
                      bands
    queue_intervals   by resource, the first wait for it
    """

    stage_seconds: Mapping[str, float] = field(default_factory=dict)
    waited_seconds: Mapping[str, float] = field(default_factory=dict)
    stage_intervals: Mapping[str, WorkInterval] = field(default_factory=dict)
    queue_intervals: Mapping[str, WorkInterval] = field(default_factory=dict)
