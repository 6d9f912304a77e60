"""The process that decodes archives: its limits, its death, and its end when nobody wants the rest."""

import os
from collections.abc import Iterator

import pytest

from compressor import archive, pipeline
from compressor.archive import child
from compressor.errors import FormatError
from tests.archive.files import photo_archive
from tests.jpeg_files import jpeg

MIB = 1 << 20
LARGE = jpeg(1500, 1000, quality=95)


def unarchived(data: bytes, limit_bytes: int, memory_bytes: int) -> bytes:
    spent: list[float] = []
    made = b"".join(child.unarchived([data[:1000], data[1000:]], limit_bytes, memory_bytes, spent.append))
    assert 0 < spent[0] < 60
    return made


def test_it_has_the_memory_that_was_charged_and_no_more() -> None:
    made = archive.jxl_of(LARGE)

    assert unarchived(made, len(LARGE), 64 * MIB) == LARGE
    with pytest.raises(archive.ArchiveError):
        unarchived(made, len(LARGE), -child.SLACK_BYTES)


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
        list(child.unarchived([made] * 100, 100, 100, lambda seconds: None))
    with pytest.raises(FormatError, match=f"JPEG XL: codestream: no JPEG can be made of it: {problem}"):
        b"".join(pipeline.unarchive(made))


def test_it_ends_when_the_rest_is_not_wanted() -> None:
    made = archive.jxl_of(LARGE)
    pieces = child.unarchived([made], len(LARGE), 64 * MIB, lambda seconds: None)
    assert LARGE.startswith(next(pieces))

    pieces.close()  # type: ignore[attr-defined]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_an_error_of_the_source_ends_it() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise KeyError("the source")

    with pytest.raises(KeyError, match="the source"):
        list(child.unarchived(chunks(), 100, MIB, lambda seconds: None))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
