"""A call's thread."""

import os

from compressor.calls.call import NICENESS, Call
from tests.service.fake_pipeline import fake_codec


async def test_the_thread_of_a_call_leaves_the_cores_to_the_event_loop() -> None:
    found: list[int] = []

    def work(call: Call) -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, 0))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    with Call(fake_codec(), 10.0, lambda stages: None) as call:
        call.start(work, lambda: None)
        assert await call.outbox.get() is None
    assert found == [min(19, before + NICENESS)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before
