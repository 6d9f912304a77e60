"""Quotas of calls, whichever transport they use."""

import asyncio
import time

import pytest

from compressor.calls.client_clock import ClientClock, ClientLimits
from compressor.service.calls import keep_pace
from compressor.service.quotas import QuotaLimits
from compressor.service.tenants import Tenant, current_tenant


@pytest.mark.parametrize("is_last", [False, True])
def test_a_client_is_not_late_while_its_quota_makes_it_wait(is_last: bool) -> None:
    async def send() -> None:
        current_tenant.set(Tenant("shop", QuotaLimits(bytes=10_000)))
        await keep_pace(11_000, clock, is_last=is_last)

    start = time.monotonic()
    clock = ClientClock(ClientLimits(), start)
    clock.upload.begin(start)
    asyncio.run(send())

    assert (time.monotonic() - start > 0.09) or is_last
    assert (clock.upload.current(start + 100) > 0) == is_last
