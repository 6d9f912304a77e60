"""The size of an installation without extras: the package and the distributions that it needs."""

import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import compressor
from benchmarks import ROOT

TOOLS = {"pip", "setuptools"}  # part of any environment


def declared() -> list[Requirement]:
    """Return [project.dependencies] of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line) for line in project["dependencies"]]


def needed(requirements: Iterable[Requirement]) -> dict[str, Distribution]:
    """Return the distributions that satisfy requirements, and those that these need in turn, by name.

    Raise PackageNotFoundError if one is not installed.
    """
    found: dict[str, Distribution] = {}
    waiting = list(requirements)
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if name in TOOLS or (name, extra) in seen:
                continue
            seen.add((name, extra))
            found[name] = distribution(name)
            more = [Requirement(line) for line in found[name].requires or ()]
            waiting += [one for one in more if one.marker is None or one.marker.evaluate({"extra": extra})]
    return found


def files_of(installed: Distribution) -> set[Path]:
    """Return a distribution's files by its record, with the bytecode that pip has compiled."""
    paths = {Path(str(installed.locate_file(file))).resolve() for file in installed.files or ()}
    return {path for path in paths if path.is_file()}


def package_files() -> set[Path]:
    """Return this package's files, with the bytecode of this interpreter."""
    files = (path for path in Path(compressor.__file__).parent.rglob("*") if path.is_file())
    bytecode = f".{sys.implementation.cache_tag}.pyc"
    return {path for path in files if path.parent.name != "__pycache__" or path.name.endswith(bytecode)}


@dataclass(frozen=True)
class Installation:
    """The size of an installation.

    sizes           bytes of the package and of each distribution that it needs, the largest first
    bytecode_bytes  the part of all of them that pip compiles
    """

    sizes: dict[str, int]
    bytecode_bytes: int

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())


def installation() -> Installation:
    """Return the size of this environment's installation."""
    files = {name: files_of(one) for name, one in needed(declared()).items()} | {"compressor": package_files()}
    sizes = {name: sum(path.stat().st_size for path in paths) for name, paths in files.items()}
    bytecode = sum(path.stat().st_size for paths in files.values() for path in paths if path.suffix == ".pyc")
    return Installation(dict(sorted(sizes.items(), key=lambda item: -item[1])), bytecode)
