"""A result: its bytes, the report on them, the file that it becomes, and how an interpreter and a notebook show it."""

import base64
import html
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from compressor import raster
from compressor.atomic_write import AtomicFile, temporary_name
from compressor.errors import SettingsError
from compressor.humanize import human_bytes, human_format, human_saving
from compressor.settings import Outcome, Report
from compressor.sniff import FORMAT_SUFFIXES, MEDIA_TYPES

SUFFIX_FORMATS = {suffix: format for format, suffixes in FORMAT_SUFFIXES.items() for suffix in suffixes}
# In a notebook: the width of the picture, and the largest result that is the picture itself.
PREVIEW_SIDE = 400
PREVIEW_BYTES_MAX = 1 << 18
SHOWN_BY_BROWSERS = ("jpeg", "png", "webp", "avif", "gif")


@dataclass(frozen=True, slots=True, repr=False)
class Result:
    """The bytes of a result, and the report on it."""

    data: bytes
    report: Report

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, and return its path. A file of that name is replaced once all are on disk.

        The name is used as it is, with or without a suffix. Raise SettingsError if its suffix is that of another image
        format: nothing is converted here. Raise OSError if the file can't be written.
        """
        given = Path(path)
        format = SUFFIX_FORMATS.get(given.suffix.lower(), self.report.format)
        if format != self.report.format:
            usual = FORMAT_SUFFIXES[self.report.format][0]
            title = human_format(self.report.format)
            problem = f"{given.name!r} has the suffix of another format: the result is {title}, save it as {usual}"
            raise SettingsError("path", problem)
        try:
            _write(Path(os.path.realpath(given)), self.data)
        except OSError as error:  # which may name the temporary file
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None
        return given

    def __repr__(self) -> str:
        image = f"{self.report.format} {self.report.width} × {self.report.height}"
        return f"Result({image}, {human_bytes(len(self.data))}, {_change(self.report)})"

    def _repr_html_(self) -> str:
        """Return a table of the source and the result, with a picture of the result, for a notebook.

        The source itself is not kept, so there is no picture of it. A result that is wide or large is scaled down; one
        that can't be is shown without a picture.
        """
        report = self.report
        size = f"{report.width} × {report.height}"
        rows = {
            "before": f"{human_bytes(report.bytes_in)} {human_format(report.source_format)}, {size}",
            "after": f"{human_bytes(report.bytes_out)} {human_format(report.format)}, {size}",
            "outcome": ": ".join(filter(None, (_change(report), report.reason))),
        }
        if report.score is not None:
            rows["score"] = f"{report.score:.1f} (SSIMULACRA2)"
        if report.notices:
            rows["notices"] = "; ".join(report.notices)
        cells = "".join(f"<tr><th>{name}</th><td>{html.escape(text)}</td></tr>" for name, text in rows.items())
        picture = self._picture()
        shown = f'<img alt="the result" style="max-width: {PREVIEW_SIDE}px" src="{picture}">' if picture else ""
        return f"<div>{shown}<table>{cells}</table></div>"

    def _picture(self) -> str:
        """Return the result as a data URI, scaled down if it is large; "" if there is no picture of it."""
        report = self.report
        is_small = report.width <= PREVIEW_SIDE and len(self.data) <= PREVIEW_BYTES_MAX
        if is_small and report.format in SHOWN_BY_BROWSERS:
            format, data = report.format, self.data
        else:
            format, data = raster.preview(self.data, report.format, PREVIEW_SIDE)
        return f"data:{MEDIA_TYPES[format]};base64,{base64.b64encode(data).decode()}" if data else ""


def _change(report: Report) -> str:
    """Return how the size has changed: "87.0% saved", "12.5% larger" or "unchanged"."""
    return "unchanged" if report.outcome is Outcome.UNCHANGED else human_saving(report.saved)


def _write(path: Path, data: bytes) -> None:
    """Replace a file, which keeps its permissions, or create it. A device or a pipe is written to as it is."""
    found = os.stat(path) if path.exists() else None
    if found is not None and not stat.S_ISREG(found.st_mode):
        path.write_bytes(data)
        return
    with AtomicFile(temporary_name(path.parent)) as file:
        writer = file.open()
        if found is not None:
            os.fchmod(writer.fileno(), stat.S_IMODE(found.st_mode))
        writer.write(data)
        file.publish(path)
