"""Digests of results, which show a change of bytes. A commit that changes one says why.

tests/pipeline/golden.json has them for Kodak's photographs, which are not part of the project, and for unusual files
that the tests build. UPDATE_GOLDEN=1 rewrites those that can be made on this machine. Results are the same on every
x86-64 CPU with FMA; others may round a cosine differently.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compressor import pipeline
from compressor.errors import CompressorError
from compressor.settings import Effort
from tests.corpus import CORPUS
from tests.planted import MODULES

GOLDEN = Path(__file__).parent / "golden.json"
DIGITS = 16
KODAK = sorted((CORPUS / "kodak").glob("*.png"))
SLOW = {"png": 2, "webp": 1, "avif": 1}  # for this many photographs only; of PNG, the slowest effort


def digest(data: bytes, **settings: Any) -> str:
    """Return the size and digest of a result, or the class of the error."""
    try:
        made = pipeline.compress(data, **settings).data
    except CompressorError as error:
        return type(error).__name__
    return f"{len(made)} {hashlib.sha256(made).hexdigest()[:DIGITS]}"


def photographs() -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for number, path in enumerate(KODAK):
        for effort in Effort:
            for format in ("jpeg", "png", "webp", "avif"):
                few = SLOW.get(format, len(KODAK))
                if number < few or (format == "png" and effort is not Effort.BEST):
                    yield f"{path.name} {format} {effort}", path, {"format": format, "effort": effort}


def unusual_files() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    for module in MODULES:
        for file in importlib.import_module(f"tests.planted.{module}").files():
            for effort in Effort:
                yield f"{file.name} keep {effort}", file.data, {"effort": effort}
            yield f"{file.name} keep lossless", file.data, {"lossless": True}
            yield f"{file.name} png", file.data, {"format": "png"}
            yield f"{file.name} strip", file.data, {"metadata": "strip"}


def compare(found: dict[str, str]) -> None:
    known: dict[str, str] = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if os.environ.get("UPDATE_GOLDEN"):
        known |= found
        GOLDEN.write_text(json.dumps(dict(sorted(known.items())), indent=0) + "\n")
    assert found == {name: known.get(name) for name in found}


def test_results_of_unusual_files_have_not_changed() -> None:
    compare({name: digest(data, **settings) for name, data, settings in unusual_files()})


@pytest.mark.parametrize("path", KODAK, ids=lambda path: path.stem)
def test_results_of_photographs_have_not_changed(path: Path) -> None:
    compare({name: digest(path.read_bytes(), **settings) for name, file, settings in photographs() if file == path})


def test_every_digest_belongs_to_a_file_that_exists() -> None:
    names = {name for name, _, _ in unusual_files()} | {name for name, _, _ in photographs()}

    known = json.loads(GOLDEN.read_text())
    assert {name for name in known if KODAK or not name.startswith("kodim")} <= names
