"""The code blocks of the documentation, and the commands in them."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT

FOLDERS = ("docs", "benchmarks", "examples", "deploy")
PAGES = [*sorted(ROOT.glob("*.md")), *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))]
PAGES = [page for page in PAGES if "node_modules" not in page.parts]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    line      of its first fence, from 1
    language  as the fence says, "" without one: a drawing, or a file that is no code
    not_run   the reason in the comment before it, why the tests don't run it; "" if they do
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            text.count("\n", 0, found.start()) + 1 + (found["reason"] is not None),
            found["language"],
            found["text"],
            found["reason"] or "",
        )
        for found in FENCE.finditer(text)
    ]


@dataclass(frozen=True)
class Command:
    """A command of a block, and what the page says it prints: None if it says nothing about that."""

    text: str
    printed: str | None


def commands_of(block: Block) -> Iterator[Command]:
    """Yield the commands of a block of the language `console` or `sh`."""
    if block.language == "sh":
        yield from (Command(text, None) for text in statements(block.text))
        return
    first, *examples = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert not first.strip(), f"{block}: a console begins with a command after `$ `"
    for example in examples:
        text, _, printed = example.partition("\n")
        while is_unfinished(text):
            line, _, printed = printed.partition("\n")
            text = f"{text}\n{line}"
        yield Command(text, printed)


def statements(script: str) -> Iterator[str]:
    """Yield the statements of a script for bash, without empty lines and comments between them."""
    text = ""
    for line in script.splitlines():
        if not text and (not line.strip() or line.lstrip().startswith("#")):
            continue
        text = f"{text}\n{line}" if text else line
        if not is_unfinished(text):
            yield text
            text = ""
    assert not text, f"a statement without an end: {text}"


def is_unfinished(text: str) -> bool:
    """Return whether bash would read another line: after a backslash, or within quotes or a compound command."""
    if text.endswith("\\"):
        return True
    return subprocess.run(["bash", "-n", "-c", text], capture_output=True).returncode != 0
