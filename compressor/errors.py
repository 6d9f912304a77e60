"""What can go wrong, as the caller sees it.

    CompressorError
    ├── FormatError        the image is broken: which format, at which marker or chunk, at which byte
    ├── SettingsError      a setting is out of range, or two of them contradict each other
    ├── UnsupportedError   valid, but not something this version does
    ├── LimitError         over a limit: the same request will never be accepted
    ├── BusyError          fits, but not right now: come back after `retry_after_seconds`
    ├── IncompleteError    the input ended before its sender said that it was finished, or its checksum differs
    ├── IdleError          the other side of a call did not move for so long that it is taken for gone
    └── CallError          a call ended for a reason that no other error stands for

Messages are one line and say what was found and what was expected.
"""

from typing import Any


class CompressorError(Exception):
    """The root of the tree: everything raised on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle message and attributes, for process pools: by default only the message would be given to the class."""
        return _unpickled, (type(self), self.args), self.__dict__


def _unpickled(kind: type[CompressorError], args: tuple[object, ...]) -> CompressorError:
    """Make one without its constructor, which would compose its message again."""
    return kind.__new__(kind, *args)


class FormatError(CompressorError):
    """A broken image.

    format  "JPEG", "PNG", …
    place   the marker or chunk that was being read: "SOS", "IDAT", …
    offset  of the byte at fault from the start of the input, or None where it is not known
    """

    def __init__(self, format: str, place: str, offset: int | None, problem: str) -> None:
        at = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{format}: {place}{at}: {problem}")
        self.format = format
        self.place = place
        self.offset = offset
        self.problem = problem


class SettingsError(CompressorError):
    """A setting that can't be taken; `field` is its name in `Settings`."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class UnsupportedError(CompressorError):
    """Valid, but not ours: a coding process, a format or a setting that this version does not carry."""


class LimitError(CompressorError):
    """Over a limit; trying again does not help."""


class BusyError(CompressorError):
    """No room right now; trying again after `retry_after_seconds` does help."""

    def __init__(self, problem: str, retry_after_seconds: float) -> None:
        super().__init__(problem)
        self.retry_after_seconds = retry_after_seconds


class IncompleteError(CompressorError):
    """The input was cut off, or is not what its sender said it was."""


class IdleError(CompressorError):
    """The other side of the call did not move for so long that it is taken for gone."""


class CallError(CompressorError):
    """A call that ended for a reason that no other error stands for: the deadline, the connection, a refusal.

    code  the status, by its name in google.rpc.Code: "DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE", "INTERNAL", …
    """

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(f"{code}: {problem}")
        self.code = code
        self.problem = problem
