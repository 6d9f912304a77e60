"""The parts of a call that do not depend on its transport, gRPC or HTTP."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator

from compressor.calls.admission import Admission
from compressor.calls.call import Call, Codec
from compressor.calls.client_clock import ClientClock
from compressor.footprint import Basis
from compressor.metrics import Account
from compressor.service.tenants import current_tenant
from compressor.settings import Report
from compressor.work_times import WorkTimes


@contextlib.asynccontextmanager
async def admitted_call(
    codec: Codec, admission: Admission, peer: str, seconds: float | None, account: Account
) -> AsyncIterator[Call]:
    """Yield a call of the current tenant, which is closed at the end of the block. Raise what refuses it.

    peer     the address of its client
    seconds  until its deadline; None: it has none
    account  gets the times of its work
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    tenant = current_tenant.get()
    quota = None if tenant is None else tenant.quota
    if quota is not None:
        quota.admit()

    def on_work_end(times: WorkTimes) -> None:
        account.worked(times)
        admission.learn(sum(times.stage_seconds.values()))

    async with admission.admitted(peer, deadline, quota) as admitted:
        with Call(codec, admitted, on_work_end) as call:
            yield call


async def keep_pace(size: int, clock: ClientClock, *, is_last: bool) -> None:
    """Count bytes that the current tenant has sent. Wait until it may send more, unless they are the last of a call."""
    tenant = current_tenant.get()
    if tenant is not None and (wait := tenant.quota.count(size)) and not is_last:
        clock.upload.end(0, time.monotonic())  # the client is not late meanwhile
        await asyncio.sleep(wait)


def with_footprint(report: Report, basis: Basis) -> Report:
    """Return a report with the estimate of what the call used."""
    return dataclasses.replace(report, footprint=basis.footprint_of(report.cpu_seconds, report.memory_byte_seconds))
