"""The types of the Python code in README.md and docs/, as mypy sees it with `--strict`.

All blocks of a page are one module, so that later ones may use the names of earlier ones.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests import ROOT
from tests.project.test_docs import PAGES

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def code_in(page: Path) -> str:
    """Return the code of a page, on the lines of the page on which it stands."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * text.count("\n")
    for block in BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines).rstrip() + "\n"


def mypy(folder: Path, pages: dict[str, str]) -> str:
    """Return what mypy has to say about pages, by name: "" if nothing.

    It has the configuration of the project, and the cache of `make check`: without one it takes several times as long.
    """
    for name, code in pages.items():
        (folder / f"page_{name}.py").write_text(code, encoding="utf-8")  # `logging` alone would be the module of Python
    options = ["--strict", "--no-error-summary", "--config-file", str(ROOT / "pyproject.toml")]
    command = [sys.executable, "-m", "mypy", *options, *map(str, sorted(folder.iterdir()))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return re.sub(r"^.*page_(.*)\.py:", r"\1.md:", done.stdout, flags=re.MULTILINE)


def test_the_code_in_the_documentation_has_the_right_types(tmp_path: Path) -> None:
    pages = {page.stem: code for page in PAGES if (code := code_in(page)).strip()}

    assert {"README", "service"} <= pages.keys()
    assert not (found := mypy(tmp_path, pages)), found


def test_wrong_types_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# Page\n\n```python\nimport compressor\n```\n\n```python\ncompressor.compress("a", qualty=8)\n```\n'
    )
    (folder := tmp_path / "code").mkdir()

    assert mypy(folder, {"page": code_in(page)}).startswith('page.md:8: error: Unexpected keyword argument "qualty"')


INPUTS = """
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
import numpy as np
from numpy.typing import NDArray
from PIL import Image
import compressor

def chunks() -> Iterator[bytes]:
    yield b""

def inputs(pixels: NDArray[np.uint8], mapped: memoryview, spooled: io.BufferedReader) -> None:
    for compress in (compressor.compress, compressor.inspect, compressor.stream):
        compress("a"), compress(Path("a")), compress(b""), compress(bytearray()), compress(mapped)
        compress(open("a", "rb")), compress(io.BytesIO()), compress(spooled)
        compress(chunks()), compress([b""]), compress(pixels), compress(Image.open("a"))
    compressor.stream([compressor.Tile(0, 0, b"")], compressor.Settings(), quality=8)
    compressor.compress(5)
    compressor.compress(open("a"))
    compressor.compress([compressor.Tile(0, 0, b"")])
    compressor.unarchive(Image.open("a"))
"""


def test_every_kind_of_input_has_the_right_type_and_no_other(tmp_path: Path) -> None:
    last = len(INPUTS.splitlines())

    found = re.findall(r"^inputs.md:(\d+): error: ", mypy(tmp_path, {"inputs": INPUTS}), re.MULTILINE)

    assert found == [str(line) for line in range(last - 3, last + 1)]
