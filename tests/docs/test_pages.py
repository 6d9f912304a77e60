"""Every line of every code block of the documentation, run as it is printed, but for ports and hosts.

Blocks of a page are run in order, in one folder. A block that can't be run has a comment before it that says why.
"""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from PIL import Image

from tests import ROOT
from tests.deploy.real_prometheus import tool
from tests.docs import pictures
from tests.docs.blocks import PAGES, Block, blocks_of, commands_of, statements
from tests.docs.python_code import run_python
from tests.docs.scenes import HOSTS, Scene, before_block, scene
from tests.docs.shell import Shell

# Pages with many batch runs, or whose blocks other tests run, too.
HEAVY = ("archive.md", "batch.md", "monitoring.md")
WITH_CODE = [
    pytest.param(page, id=str(page.relative_to(ROOT)), marks=[pytest.mark.heavy] * (page.name in HEAVY))
    for page in PAGES
    if any(block.language for block in blocks_of(page))
]
# What a page takes as done before its first block.
DONE = {
    "cli.md": Block(ROOT, 0, "sh", "compressor batch photos small --ledger photos.ledger"),
    "library.md": Block(ROOT, 0, "sh", "compressor serve"),
    "operate.md": Block(ROOT, 0, "sh", "compressor serve --tls-cert server.pem --tls-key server.key"),
}
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".avif": "AVIF"}


@pytest.mark.parametrize("page", WITH_CODE)
def test_blocks_do_what_the_page_says(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in blocks_of(page) if not block.not_run]
    text = "\n".join(block.text for block in blocks)
    names: dict[str, Any] = {}
    wrong = []
    with scene(page, text, tmp_path / "folder") as prepared, shell_in(prepared) as shell:
        monkeypatch.chdir(prepared.folder)
        if page.name in DONE:
            before_block(DONE[page.name], prepared.folder)
            assert not problems_of(DONE[page.name], shell, names)
        for block in blocks:
            before_block(block, prepared.folder)
            before = written(prepared.folder)
            found = problems_of(block, shell, names)
            found += wrong_pictures(prepared.folder, before)
            wrong += [f"{block}\n{problem}" for problem in found]
    assert not wrong, "\n\n".join(["", *wrong])


def shell_in(prepared: Scene) -> Shell:
    return Shell(prepared.folder, prepared.environment, HOSTS)


def problems_of(block: Block, shell: Shell, names: dict[str, Any]) -> list[str]:
    """Run a block, or parse it; return what is wrong with it."""
    match block.language:
        case "console" | "sh":
            problems = [shell.run(command, pictures.IS_CORPUS) for command in commands_of(block)]
        case "python":
            problems = [run_python(shell.real(block.text), names, pictures.IS_CORPUS)]
        case "promql":
            problems = [problem_of_queries(block.text, shell.folder)]
        case "json":
            problems = [problem_of(json.loads, line) for line in block.text.splitlines()]
        case "yaml":
            problems = [problem_of(yaml.safe_load, block.text)]
        case "toml":
            problems = [problem_of(tomllib.loads, block.text)]
        case "":
            problems = ["a console has the language `console`"] if block.text.startswith("$ ") else []
        case other:
            problems = [f"what to do with {other}?"]
    return [problem for problem in problems if problem]


def problem_of(parse: Any, text: str) -> str:
    try:
        parse(text)
    except ValueError as error:  # also yaml.YAMLError has no other base than Exception: it fails the test
        return f"{error}: {text}"
    return ""


def problem_of_queries(text: str, folder: Path) -> str:
    """Return what promtool says against the queries: an indented line continues the one before it."""
    queries = text.replace("\n ", " ").replace("\n-", " -").splitlines()
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    path = folder / "queries.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}))
    done = subprocess.run([tool("promtool"), "check", "rules", path], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def written(folder: Path) -> dict[Path, int]:
    """Return when each picture of a folder was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.suffix in FORMATS}


def wrong_pictures(folder: Path, before: dict[Path, int]) -> list[str]:
    """Return the new pictures that are not what their names say: curl writes errors into them, too."""
    wrong = []
    for path, time in written(folder).items():
        if before.get(path) != time:
            try:
                with Image.open(path) as image:
                    image.load()
                    if image.format != FORMATS[path.suffix]:
                        wrong.append(f"{path.name} is {image.format}")
            except OSError:
                wrong.append(f"{path.name} is no picture: {path.read_bytes()[:200]!r}")
    return wrong


def test_every_block_that_is_not_run_says_why() -> None:
    reasons = [block.not_run for page in PAGES for block in blocks_of(page) if block.not_run]

    assert reasons
    assert [reason for reason in reasons if len(reason.split()) < 2] == []


def test_all_fences_are_found() -> None:
    """A comment or a fence that is written in another way must not hide a block."""
    lines = {page: page.read_text(encoding="utf-8").splitlines() for page in PAGES}
    fences = {page: sum(line.lstrip().startswith("```") for line in lines[page]) for page in PAGES}
    comments = {page: sum(line.startswith("<!-- not run") for line in lines[page]) for page in PAGES}
    found = {page: blocks_of(page) for page in PAGES}

    assert fences == {page: 2 * len(blocks) for page, blocks in found.items()}
    assert comments == {page: sum(bool(block.not_run) for block in blocks) for page, blocks in found.items()}


def test_statements_end_where_bash_ends_them() -> None:
    script = "# a comment\nfirst a \\\n  b\n\nsecond 'of\n# two lines'\nthird # and a comment\n"

    assert list(statements(script)) == ["first a \\\n  b", "second 'of\n# two lines'", "third # and a comment"]
