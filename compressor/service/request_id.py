"""The id of a request: its client's, that of its trace, or a new one."""

import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar

KEY = "x-request-id"
VISIBLE_ASCII = re.compile(r"[!-~]{1,128}")
# W3C Trace Context, 3.2.2: version, trace-id, parent-id and flags. Later versions may add more after a hyphen.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
FIRST_VERSION = "00"

# The id of the request that a task belongs to; "" if to none.
current = ContextVar("request_id", default="")

CallMetadata = Iterable[tuple[str, str | bytes]]


def request_id_of(metadata: CallMetadata) -> str:
    """Return `x-request-id` if it has 1 to 128 visible ASCII characters, else the trace-id of `traceparent` if that is
    valid, else a new id. Only the first value of each key counts."""
    given = trace = None
    for key, value in metadata:
        if key == KEY and given is None:
            given = str(value)
        elif key == "traceparent" and trace is None:
            trace = str(value)
    if given is not None and VISIBLE_ASCII.fullmatch(given):
        return given
    return (None if trace is None else trace_id_of(trace)) or secrets.token_hex(16)


def trace_id_of(traceparent: str) -> str | None:
    """Return the trace-id of a `traceparent`; None if it is not valid."""
    found = TRACEPARENT.fullmatch(traceparent)
    if found is None or (found[1] == FIRST_VERSION and found[3] is not None):
        return None
    return found[2]
