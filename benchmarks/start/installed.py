"""The size of an installation without extras: the package and the distributions that it needs."""

import sys
import tomllib
from collections.abc import Iterable
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


def bytes_of(installed: Distribution) -> int:
    """Return the size of a distribution's files, with the bytecode that pip has compiled."""
    paths = {Path(str(installed.locate_file(file))).resolve() for file in installed.files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file())


def package_bytes() -> int:
    """Return the size of this package's files, with the bytecode of this interpreter."""
    files = [path for path in Path(compressor.__file__).parent.rglob("*") if path.is_file()]
    bytecode = f".{sys.implementation.cache_tag}.pyc"
    kept = [path for path in files if path.parent.name != "__pycache__" or path.name.endswith(bytecode)]
    return sum(path.stat().st_size for path in kept)


def sizes() -> dict[str, int]:
    """Return the bytes of the package and of each distribution that it needs, the largest first."""
    found = {name: bytes_of(one) for name, one in needed(declared()).items()} | {"compressor": package_bytes()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))
