"""The hook for pre-commit, the action for GitHub, and the workflow: valid, documented, and run where they can be."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml  # type: ignore[import-untyped]
from PIL import Image, ImageChops

from compressor.cli.app import app
from tests import ROOT
from tests.jpeg_files import jpeg, photo

BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs/ci.md").read_text()
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
SCRIPT = next(step["run"] for step in ACTION["runs"]["steps"] if step.get("id") == "images")
# Git reads no configuration but that of the repository.
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def git(folder: Path, *arguments: str) -> str:
    """Run git, and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with images, of which one has an odd name, and files that are none."""
    folder = tmp_path / "repository"
    (folder / "site").mkdir(parents=True)
    (folder / "site/a b.jpg").write_bytes(jpeg(200, 120, quality=95))
    photo(64, 48).save(folder / "site/-c.PNG", compress_level=0)
    (folder / "d.jpeg").write_bytes(jpeg(64, 48, quality=95))
    (folder / "README.md").write_text("no image.png\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "images")
    (folder / "site/untracked.jpg").write_bytes(jpeg(64, 48, quality=95))
    return folder


def run_action(folder: Path, path: str, quality: str = "", fail: str = "true") -> tuple[int, str, str]:
    """Run the script of the action as GitHub does. Return its exit code, its outputs and the summary of the job."""
    outputs, summary = folder.parent / "outputs", folder.parent / "summary"
    for file in (outputs, summary):
        file.write_text("")
    variables = {"IMAGES": path, "QUALITY": quality, "FAIL": fail}
    files = {"GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    command: list[str | Path] = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPT]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT | variables | files, capture_output=True, text=True)
    sys.stderr.write(done.stdout + done.stderr)
    return done.returncode, outputs.read_text(), summary.read_text()


@pytest.mark.parametrize("name", ["action.yml", ".github/workflows/wheels.yml"])
def test_github_would_accept(name: str) -> None:
    schema = "vendor.github-workflows" if "workflows" in name else "vendor.github-actions"
    command: list[str | Path] = [BIN / "check-jsonschema", "--builtin-schema", schema, ROOT / name]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_pre_commit_would_accept_the_hook() -> None:
    command: list[str | Path] = [BIN / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_inputs_and_outputs_of_the_action_are_documented() -> None:
    documented = {found[1]: found[2] for found in re.finditer(r"^\| `([\w-]+)` \| (?:`([^`]*)`)?", PAGE, re.MULTILINE)}

    inputs = {name: given["default"] or None for name, given in ACTION["inputs"].items()}
    assert documented == inputs | dict.fromkeys(ACTION["outputs"])


def test_the_hook_runs_a_command_with_options_that_exist() -> None:
    program, command, *options = HOOK["entry"].split()
    root: Any = typer.main.get_command(app)
    known = {flag for parameter in root.get_command(None, command).params for flag in parameter.opts}

    assert program == "compressor" and set(options) <= known
    assert f"`{HOOK['entry']}`" in PAGE


def test_the_action_fails_once_and_then_finds_nothing(repository: Path) -> None:
    before = Image.open(repository / "site/-c.PNG").convert("RGB")

    code, outputs, summary = run_action(repository, "site")

    assert (code, outputs) == (1, "changed=2\n")
    assert re.search(r"a b\.jpg\"? +\| Bin \d+ -> \d+ bytes", summary) and "-c.PNG" in summary
    assert sorted(git(repository, "diff", "--name-only", "-z").split("\0")) == ["", "site/-c.PNG", "site/a b.jpg"]
    assert not ImageChops.difference(before, Image.open(repository / "site/-c.PNG").convert("RGB")).getbbox()
    assert "untracked" not in summary

    git(repository, "commit", "--quiet", "--all", "--message", "smaller")
    assert run_action(repository, "site")[:2] == (0, "changed=0\n")


def test_the_action_compresses_with_a_quality_and_does_not_fail_if_asked(repository: Path) -> None:
    code, outputs, _ = run_action(repository, "d.jpeg", quality="50", fail="false")

    assert (code, outputs) == (0, "changed=1\n")
    assert (repository / "d.jpeg").stat().st_size < len(jpeg(64, 48, quality=95)) / 2


def test_the_action_fails_for_an_image_that_cannot_be_read(repository: Path) -> None:
    (repository / "site/broken.jpg").write_bytes(jpeg(64, 48)[:300])
    git(repository, "add", "site/broken.jpg")
    git(repository, "commit", "--quiet", "--message", "broken")

    assert run_action(repository, "site", fail="false")[0] != 0


def test_the_action_does_not_mix_its_changes_with_others(repository: Path) -> None:
    (repository / "README.md").write_text("changed\n")

    assert run_action(repository, ".")[0] == 1
    assert git(repository, "diff", "--name-only") == "README.md\n"


def test_the_action_finds_nothing_where_there_are_no_images(repository: Path) -> None:
    assert run_action(repository, "README.md")[:2] == (0, "changed=0\n")


@pytest.mark.heavy
def test_pre_commit_installs_and_runs_the_hook(repository: Path, tmp_path: Path) -> None:
    """The first run makes files smaller, which pre-commit reports as a failure; the second one passes."""
    clone = tmp_path / "compressor"  # with what is not committed yet
    git(tmp_path, "clone", "--quiet", str(ROOT), str(clone))
    subprocess.run(["bash", "-c", f"git ls-files -z | xargs -0 cp --parents -t '{clone}'"], cwd=ROOT, check=True)
    git(clone, "add", ".")
    if git(clone, "status", "--porcelain"):
        git(clone, "commit", "--quiet", "--message", "work tree")
    rev = git(clone, "rev-parse", "HEAD").strip()
    config = {"repos": [{"repo": str(clone), "rev": rev, "hooks": [{"id": HOOK["id"]}]}]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(repository, "add", ".pre-commit-config.yaml")
    command: list[str | Path] = [BIN / "pre-commit", "run", HOOK["id"], "--all-files"]
    environment = ENVIRONMENT | {"PRE_COMMIT_HOME": str(tmp_path / "cache")}

    first = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert first.returncode == 1 and "files were modified by this hook" in first.stdout, first.stdout + first.stderr
    assert sorted(git(repository, "diff", "--name-only", "-z").split("\0"))[1:] == [
        "d.jpeg",
        "site/-c.PNG",
        "site/a b.jpg",
    ]

    git(repository, "commit", "--quiet", "--all", "--message", "smaller")
    second = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    assert second.returncode == 0 and "Passed" in second.stdout, second.stdout + second.stderr
