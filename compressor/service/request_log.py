"""The line that is logged for each request, at its end, whatever its end is.

It has measurements and names, and nothing that the image or the metadata of the call contain, apart from the request's
id: no message of an error either, since these quote invalid bytes.
"""

import logging

from compressor.metrics import Account
from compressor.service.log_format import VALUE_CHARACTERS_MAX, FieldsMessage, LogFields, bounded

log = logging.getLogger("compressor.request")


def log_request(account: Account, trace_id: str = "") -> None:
    """Log a request that has ended."""
    if log.isEnabledFor(logging.INFO):
        log.info(FieldsMessage("request", fields_of(account, trace_id)))


def fields_of(account: Account, trace_id: str = "") -> LogFields:
    """Return the fields of a request's line. Those without a value are left out; times are in seconds."""
    report, source = account.report, account.source
    names = {
        "request_id": account.request_id,
        "trace_id": trace_id,
        "method": account.method,
        "peer": account.peer,
        "tenant": account.tenant or "",
        "code": account.code or "",
        "reason": account.reason,
        "outcome": report.outcome.value if report else "",
        "path": report.path.value if report else "",
        "format": source.format if source else "",
        "result_format": report.format if report else "",
    }
    fields: dict[str, str | int | float] = {
        key: bounded(value, VALUE_CHARACTERS_MAX) for key, value in names.items() if value
    }
    if source is not None:
        fields["width"], fields["height"] = source.width, source.height
        fields["reserved_bytes"] = report.reserved_bytes if report else source.reserved_bytes
    fields["bytes_in"], fields["bytes_out"] = account.bytes_in, account.bytes_out
    fields.update(durations_of(account))
    return fields


def durations_of(account: Account) -> dict[str, float]:
    """Return the durations of a request, in seconds, as far as they are known. CPU times are of its stages."""
    times, started = account.times, account.started
    ended = started if account.ended is None else account.ended
    found = {"duration_seconds": ended - started}
    if account.last_received is not None:
        found["receive_seconds"] = account.last_received - started
    if account.first_byte is not None:
        found["first_byte_seconds"] = account.first_byte - started
        found["send_seconds"] = account.send_seconds
    if intervals := times.stage_intervals.values():
        found["work_seconds"] = max(end for _, end in intervals) - min(begin for begin, _ in intervals)
    found |= {f"{resource}_wait_seconds": seconds for resource, seconds in times.waited_seconds.items()}
    found |= {f"{stage}_cpu_seconds": seconds for stage, seconds in times.stage_seconds.items() if seconds}
    return {name: round(seconds, 6) for name, seconds in found.items()}
