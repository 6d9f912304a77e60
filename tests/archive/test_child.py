"""The process that decodes archives: its limits, its death, and its end when nobody wants the rest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from compressor import archive, pipeline
from compressor.archive import child
from compressor.errors import FormatError
from tests.archive.files import photo_archive
from tests.jpeg_files import jpeg

MIB = 1 << 20
LARGE = jpeg(1500, 1000, quality=95)


def children() -> set[str]:
    """Return the numbers of the child processes that have not been waited for."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def unarchived(data: bytes, limit_bytes: int, memory_bytes: int, pixels: int = 1) -> bytes:
    spent: list[float] = []
    made = b"".join(child.unarchived([data[:1000], data[1000:]], limit_bytes, memory_bytes, pixels, spent.append))
    assert 0 < spent[0] < 60
    return made


def test_it_has_the_memory_that_was_charged_and_no_more() -> None:
    made = archive.jxl_of(LARGE)

    assert unarchived(made, len(LARGE), 64 * MIB) == LARGE
    with pytest.raises(archive.ArchiveError):
        unarchived(made, len(LARGE), -child.SLACK_BYTES)
    with pytest.raises(archive.ArchiveError, match="^out of memory$"):  # of what it uses, with address space for more
        unarchived(made, len(LARGE), -child.SLACK_BYTES, pixels=100_000_000)


def test_it_makes_no_more_bytes_than_are_allowed() -> None:
    _, made = photo_archive()
    with pytest.raises(archive.ArchiveError, match="output buffer"):
        unarchived(made, 100, 64 * MIB)


@pytest.mark.parametrize(
    "code, problem",
    [
        ("import os; os.abort()", "the library died of SIGABRT"),
        ("import sys; sys.stdin.buffer.read(); sys.exit('a line\\nand another')", "a line and another"),
        ("import sys; sys.exit('before it has read anything')", "before it has read anything"),
    ],
)
def test_its_death_is_an_error(monkeypatch: pytest.MonkeyPatch, code: str, problem: str) -> None:
    _, made = photo_archive()
    monkeypatch.setattr(child, "CODE", code)
    with pytest.raises(archive.ArchiveError, match=problem):
        list(child.unarchived([made] * 100, 100, 100, 1, lambda seconds: None))
    with pytest.raises(FormatError, match=f"JPEG XL: codestream: no JPEG can be made of it: {problem}"):
        b"".join(pipeline.unarchive_stream(made))


def test_its_cpu_time_is_limited_by_the_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "CPU_SECONDS", 0)
    monkeypatch.setattr(
        child,
        "CODE",
        "import sys; sys.path[:] = {path!r}; from compressor.archive.child import limit_cpu; limit_cpu({cpu})\n"
        "while True: pass",
    )
    spent: list[float] = []

    with pytest.raises(archive.ArchiveError, match="the library died of SIGXCPU"):
        list(child.unarchived([b""], 100, MIB, child.PIXELS_PER_SECOND, spent.append))
    assert 0.5 < spent[0] < 3


def test_it_ends_when_the_rest_is_not_wanted() -> None:
    made, before = archive.jxl_of(LARGE), children()
    pieces = child.unarchived([made], len(LARGE), 64 * MIB, 1, lambda seconds: None)
    assert LARGE.startswith(next(pieces))
    assert children() > before

    pieces.close()  # type: ignore[attr-defined]
    assert children() <= before


def test_an_error_of_the_source_ends_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("the source")

    before = children()
    with pytest.raises(KeyError, match="the source"):
        list(child.unarchived(chunks(), 100, MIB, 1, lambda seconds: None))
    assert children() <= before
