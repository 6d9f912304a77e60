"""The log of a service: text, JSON or logfmt, on standard error. Each record is one line; as text, its traceback
follows on indented lines.

Values are escaped, so that a client can't forge a record, and bounded in length.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from compressor.errors import SettingsError
from compressor.humanize import printable
from compressor.service import request_id

FORMATS = ("text", "json", "logfmt")
LEVELS = ("debug", "info", "warning", "error")
VALUE_CHARACTERS_MAX = 256  # of a field of a request
TEXT_CHARACTERS_MAX = 16 << 10  # of a message, or of a traceback
CUT = "...(cut)"
# A value that needs no quotes in logfmt.
BARE = re.compile(r"[!#-<>-\[\]-~]+")
INDENT = "    "  # of the lines of a traceback: every other line begins with a time
DELETE = "\x7f"  # the only control character that JSON in ASCII leaves as it is

LogFields = Mapping[str, str | int | float]


class FieldsMessage:
    """The message of a record that has fields of its own. As text, it is the event followed by the fields as logfmt.

    event  one word
    """

    __slots__ = ("event", "fields")

    def __init__(self, event: str, fields: LogFields) -> None:
        self.event, self.fields = event, fields

    def __str__(self) -> str:
        return f"{self.event} {logfmt(self.fields)}"


def bounded(text: str, limit: int) -> str:
    """Return at most `limit` characters of a text, and a mark if it was longer."""
    return text if len(text) <= limit else text[:limit] + CUT


def end_of(traceback: str) -> str:
    """Return the end of a traceback, which says more than its beginning."""
    return traceback[-TEXT_CHARACTERS_MAX:]


def quoted(text: str) -> str:
    """Return a text in quotes as JSON has it, in ASCII, with every control character escaped."""
    return json.dumps(text).replace(DELETE, "\\u007f")


def logfmt(fields: LogFields) -> str:
    """Return fields as `key=value` pairs."""
    return " ".join(f"{key}={_value(value)}" for key, value in fields.items())


def _value(value: str | int | float) -> str:
    if isinstance(value, str):
        return value if BARE.fullmatch(value) else quoted(value)
    return str(value)


class FieldsFormatter(logging.Formatter):
    """Formats every record, of other libraries too, as fields: time, level, logger, pid, event, then its own.

    write  returns the fields as one line
    """

    def __init__(self, write: Callable[[LogFields], str]) -> None:
        super().__init__()
        self._write = write
        self._second, self._prefix = -1, ""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        fields: dict[str, Any] = {
            "time": self._time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process or 0,
        }
        if isinstance(record.msg, FieldsMessage):
            fields["event"] = record.msg.event
            fields.update(record.msg.fields)
        else:
            fields["event"] = "message"
            fields["message"] = bounded(record.getMessage(), TEXT_CHARACTERS_MAX)
            if current := request_id.current.get():
                fields["request_id"] = current
        if record.exc_info:
            fields["exception"] = end_of(self.formatException(record.exc_info))
        return self._write(fields)

    def _time(self, created: float) -> str:
        """Return a time as RFC 3339 in UTC; the part up to the second is used again for a second."""
        second = int(created)
        if second != self._second:
            self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._prefix}.{int((created - second) * 1e6):06d}Z"


class TextFormatter(logging.Formatter):
    """Formats records for people. Control characters of messages and tracebacks are escaped.

    A message that was logged on behalf of a request ends with its id.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return a record without its traceback, on one line."""
        message = bounded(record.message, TEXT_CHARACTERS_MAX)
        if (current := request_id.current.get()) and not isinstance(record.msg, FieldsMessage):
            message += f" (request {current})"
        record.message = printable(message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line, and its traceback on indented ones."""
        record.message, record.asctime = record.getMessage(), self.formatTime(record)
        lines = [self.formatMessage(record)]
        if record.exc_info:  # `exc_text` is not used: another formatter may have set it
            lines += [INDENT + printable(line) for line in end_of(self.formatException(record.exc_info)).split("\n")]
        return "\n".join(lines)


def _json(fields: LogFields) -> str:
    return json.dumps(fields, separators=(",", ":")).replace(DELETE, "\\u007f")


def formatter_of(name: str) -> logging.Formatter:
    """Return the formatter of one of FORMATS. Raise SettingsError for any other name."""
    match name:
        case "text":
            return TextFormatter()
        case "json":
            return FieldsFormatter(_json)
        case "logfmt":
            return FieldsFormatter(logfmt)
    raise SettingsError("log_format", f"is {name!r}, must be one of {', '.join(FORMATS)}")


def log_to_stderr(format: str, level: str) -> None:
    """Log to standard error, unless logging is configured already. Raise SettingsError for an unknown name."""
    if level not in LEVELS:
        raise SettingsError("log_level", f"is {level!r}, must be one of {', '.join(LEVELS)}")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter_of(format))
    logging.basicConfig(handlers=[handler], level=level.upper())
