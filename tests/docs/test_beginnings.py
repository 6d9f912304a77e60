"""Every page begins with an example and its output, before any prose."""

import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.docs.blocks import blocks_of

PAGES = sorted((ROOT / "docs").glob("**/*.md"))
# A heading, and at once a block: of a console, or of a script and the console that follows it.
BEGINNING = re.compile(
    r"# [^\n]+\n\n(?:<!-- not run: [^\n]+ -->\n)?```(?:sh\n.*?^```\n\n```)?(?P<language>\w+)\n",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_a_page_begins_with_an_example_and_its_output(page: Path) -> None:
    found = BEGINNING.match(page.read_text(encoding="utf-8"))
    assert found, "a heading is followed by an example"
    first = next(block for block in blocks_of(page) if block.language == found["language"])

    if first.language == "console":
        assert any(not line.startswith(("$ ", "    ")) for line in first.text.splitlines()), "the example has output"
    else:
        assert first.language == "python"
        assert re.search(r"print\(.*\)  # ", first.text), "a comment says what the example prints"
