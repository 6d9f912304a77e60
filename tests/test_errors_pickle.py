"""All error classes of the package survive pickling, and so the way to other processes."""

import copy
import importlib
import inspect
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

import compressor
from compressor.errors import CompressorError, FormatError
from compressor.stores.contract import StoreErrorKind

for found in pkgutil.walk_packages(compressor.__path__, "compressor."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)


def below(kind: type[Exception]) -> list[type[Exception]]:
    return [kind, *(one for child in kind.__subclasses__() for one in below(child))]


def classes() -> list[type[Exception]]:
    """Return all error classes of the package, in the tree and outside of it."""
    all_ = [kind for kind in below(Exception) if kind.__module__.partition(".")[0] == "compressor"]
    return sorted(set(all_), key=lambda kind: f"{kind.__module__}.{kind.__name__}")


# Values for the parameters of constructors.
VALUES = {
    "format": "JPEG",
    "place": "SOS",
    "offset": 4711,
    "problem": "is 7: expected\N{NO-BREAK SPACE}8",
    "field": "quality",
    "retry_after_seconds": 2.5,
    "directory": "/var/tmp",
    "code": "DEADLINE_EXCEEDED",
    "kind": StoreErrorKind.CHANGED,
    "key": "photos/1.jpg",
    "status": 405,
    "headers": [("allow", "POST")],
}


def example(kind: Any) -> Exception:
    if "__init__" not in vars(kind) and all("__init__" not in vars(one) for one in kind.__mro__[:-3]):
        found: Exception = kind("what was found", 4)
        return found
    parameters = list(inspect.signature(kind).parameters.values())
    made: Exception = kind(*(VALUES[one.name] for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD))
    return made


def test_all_error_classes_are_found() -> None:
    names = {kind.__name__ for kind in classes()}

    assert {"FormatError", "StoreError", "LedgerError", "LedgerHeldError", "WrongResultError", "UsageError"} <= names
    assert len([kind for kind in classes() if issubclass(kind, CompressorError)]) >= 14


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickle(kind: type[Exception], protocol: int) -> None:
    error = example(kind)
    error.add_note("while it was read")
    error.attached = [1, 2]  # type: ignore[attr-defined]
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


def broken() -> None:
    compressor.compress(b"\xff\xd8\xff\xc0\x00\x03" + bytes(96))


def test_a_broken_image_does_not_break_a_pool_of_processes() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for _ in range(2):
            with pytest.raises(FormatError) as caught:
                pool.submit(broken).result()
            assert caught.value.format == "JPEG" and caught.value.offset is not None
