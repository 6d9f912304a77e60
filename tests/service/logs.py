"""The log of a test, as the service formats it."""

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from compressor.service.log_format import formatter_of

PAIR = re.compile(r'([a-z0-9_]+)=("(?:[^"\\]|\\.)*"|[^ "=]+)')


class Log:
    """The records of a block, in one of the formats."""

    def __init__(self, format: str) -> None:
        self.format = format
        self.file = io.StringIO()

    @property
    def text(self) -> str:
        return self.file.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the fields of each line, of JSON or logfmt."""
        parse = json.loads if self.format == "json" else parse_logfmt
        return [parse(line) for line in self.text.splitlines()]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == "request"]


@contextmanager
def logged(format: str = "json", level: int = logging.INFO) -> Iterator[Log]:
    """Collect the log of the block."""
    log, root = Log(format), logging.getLogger()
    handler = logging.StreamHandler(log.file)
    handler.setFormatter(formatter_of(format))
    # The exporter of an earlier test may still look for its collector.
    handler.addFilter(lambda record: not record.name.startswith("opentelemetry"))
    before = root.level
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield log
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def parse_logfmt(line: str) -> dict[str, Any]:
    """Return the fields of a line. Raise ValueError if it has anything else."""
    found = dict[str, Any]()
    rest = line
    while rest:
        pair = PAIR.match(rest)
        if pair is None:
            raise ValueError(f"not logfmt: {rest!r}")
        key, value = pair.groups()
        found[key] = json.loads(value) if value.startswith('"') else value
        rest = rest[pair.end() :].removeprefix(" ")
    return found
