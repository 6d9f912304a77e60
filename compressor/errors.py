"""The errors that callers get.

    CompressorError
    ├── FormatError        the image is broken: which format, at which marker or chunk, at which byte
    ├── SettingsError      a setting is out of range, or two settings contradict each other
    ├── UnsupportedError   valid, but not supported by this version
    ├── LimitError         over a limit: the same request always fails
    ├── BusyError          no capacity at the moment: retry after `retry_after_seconds`
    │   └── SpoolError     the disk of temporary data is full, gone or broken
    ├── IncompleteError    the input ended before its sender marked the end, or its checksum differs
    ├── IdleError          the other side of a call sent or read too slowly, or not at all
    ├── DeadlineError      the work can't be finished before the deadline of its call
    └── CallError          a call ended for any other reason

Messages are one line: what was found, and what was expected.
"""

from typing import Any


class CompressorError(Exception):
    """The base class of all errors that are raised on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle message and attributes, for process pools. The default passes only the message to the constructor."""
        return _unpickle, (type(self), self.args), self.__dict__


def _unpickle(kind: type[CompressorError], args: tuple[object, ...]) -> CompressorError:
    """Create an error without calling its constructor, which would compose the message again."""
    return kind.__new__(kind, *args)


class FormatError(CompressorError):
    """An image with invalid data.

    format  "JPEG", "PNG", …
    place   the marker or chunk that was read: "SOS", "IDAT", …
    offset  of the invalid byte from the start of the input, or None if it is not known
    """

    def __init__(self, format: str, place: str, offset: int | None, problem: str) -> None:
        at = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{format}: {place}{at}: {problem}")
        self.format = format
        self.place = place
        self.offset = offset
        self.problem = problem


class SettingsError(CompressorError):
    """An invalid setting; `field` is its name in `Settings`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnsupportedError(CompressorError):
    """Valid input, but with a coding process, a format or a setting that this version does not support."""


class LimitError(CompressorError):
    """A request over a limit. Retrying does not help."""


class BusyError(CompressorError):
    """No capacity at the moment. A retry after `retry_after_seconds` may succeed."""

    def __init__(self, problem: str, retry_after_seconds: float) -> None:
        super().__init__(problem)
        self.retry_after_seconds = retry_after_seconds


class SpoolError(BusyError):
    """A disk that does not keep temporary data: full, gone, read-only or broken. `directory` is the spool directory."""

    def __init__(self, directory: str, problem: str, retry_after_seconds: float) -> None:
        super().__init__(f"the spool directory {directory}: {problem}", retry_after_seconds)
        self.directory = directory


class IncompleteError(CompressorError):
    """An input that was cut off, or differs from the length or checksum that its sender gave."""


class IdleError(CompressorError):
    """A call whose other side sent or read too slowly, or not at all."""


class DeadlineError(CompressorError):
    """Work that can't be finished before the deadline of its call."""


class CallError(CompressorError):
    """A call that ended for any other reason: the deadline, the connection, a rejection.

    code  name of the status in google.rpc.Code: "DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE", "INTERNAL", …
    """

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(f"{code}: {problem}")
        self.code = code
        self.problem = problem
