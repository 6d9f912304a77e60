"""The files that build, install and check the project."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    """Return the normalized names (PEP 503) of requirements."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=! ]", line)[0]).lower() for line in requirements}


@pytest.mark.parametrize("file", ["constraints.txt", "proto/requirements.txt"])
def test_pinned_versions_are_exact_and_have_no_urls(file: str) -> None:
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.startswith("#")]

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==(\d+!)?[A-Za-z0-9.]+", line)] == []


def test_nothing_that_is_made_or_installed_is_tracked() -> None:
    """An environment, say, was tracked once, which .gitignore had named too late."""
    command = ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == ""


def test_every_direct_dependency_is_pinned() -> None:
    wanted = names([line for lines in PROJECT["optional-dependencies"].values() for line in lines])
    wanted |= names(PROJECT["dependencies"])
    pinned = names((ROOT / "constraints.txt").read_text().splitlines())

    assert wanted - {"compressor"} <= pinned


def test_hadolint_has_no_complaints_about_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("script", [".ci/run", ".ci/system-packages"])
def test_scripts_are_executable_and_valid(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / script]).returncode == 0


def test_the_console_script_runs() -> None:
    assert os.access(ROOT / "scripts/compressor", os.X_OK)
    ran = subprocess.run([Path(sys.executable).with_name("compressor"), "--version"], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.startswith("compressor ")


def test_a_missing_tool_is_reported_with_the_tests_that_need_it(tmp_path: Path) -> None:
    """Without apt-get on the path nothing can be installed, so the message has to be sufficient."""
    for tool in ("bash", "id"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    command = [ROOT / ".ci/system-packages"]

    optional = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    required = subprocess.run([*command, "--required"], env={"PATH": str(tmp_path)}, capture_output=True, text=True)

    assert "buildah (Debian package buildah): tests/project/test_image.py" in optional.stderr
    assert (optional.returncode, required.returncode) == (0, 1)
