"""The imports of each command: none that it does not need, because imports are most of what a short command costs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests import ROOT

# Runs a command, and prints the number of threads and the imported modules after its output.
CODE = """
import atexit, os, sys
atexit.register(lambda: print("\\nended", len(os.listdir("/proc/self/task")), *sys.modules))
from compressor.cli.start import main
main()
"""
NETWORK = {"asyncio", "compressor.client", "cryptography", "google.protobuf", "grpc", "ssl"}
STORES = {"boto3", "botocore", "compressor.stores", "distributed", "obstore"}
METRICS = {"compressor.metrics", "prometheus_client"}
RUNS = {
    "compressor.batch",
    "compressor.ledger",
    "compressor.metrics",
    "compressor.report",
    "multiprocessing",
    "sqlite3",
}
CODEC = {"compressor.kernels", "compressor.pipeline", "deflate", "llvmlite", "numba", "numpy", "zlib_ng"}
LOCAL = {
    "PIL",
    "llvmlite",
    "numba",
    "pydantic",
    *NETWORK,
    *METRICS,
    *STORES,
    *RUNS,
}  # none of these is needed for a file here
FOOTPRINT = ("footprint", "--saved-bytes", "1GB", "--cpu-seconds", "1", "--memory-bytes", "1GB")
HEALTH = ("health", "--address", "127.0.0.1:1", "--timeout", "0.1")
NEEDLESS = {
    ("--version",): {"importlib.metadata", "rich", "tomllib", *LOCAL, *CODEC} - {"compressor.kernels", "numpy"},
    ("--help",): {"importlib.metadata", "rich.console", "tomllib", *LOCAL, *CODEC},
    ("inspect", "--help"): {"importlib.metadata", "rich.console", "tomllib", *LOCAL, *CODEC},
    ("inspect", "photo.jpg"): {"tomllib", *LOCAL},
    ("inspect", "photo.png"): {"tomllib", *LOCAL},
    ("inspect", "photo.jpg", "--json"): {"rich", "tomllib", *LOCAL},
    ("compress", "photo.jpg"): LOCAL,
    ("compress", "photo.jpg", "--json"): {"rich", *LOCAL},
    ("compress", "photo.png", "--json"): {"rich", *LOCAL},
    ("compress", "photo.png", "photo.jpg", "--json"): {"rich", *LOCAL},
    FOOTPRINT: {*LOCAL, *CODEC},
    (*FOOTPRINT, "--json"): {"rich", *LOCAL, *CODEC},
    ("ledger", "status", "none.ledger", "--json"): {"PIL", "pydantic", "rich", *NETWORK, *METRICS, *STORES, *CODEC},
    ("health", "--address", "127.0.0.1:1", "--timeout", "0.1"): {
        "PIL",
        "pydantic",
        "rich",
        *METRICS,
        *STORES,
        *RUNS,
        *CODEC,
    },
}


def run(*words: str) -> tuple[int, set[str]]:
    """Run a command in the working directory. Return its threads at the end, and the modules that it has imported."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    environment = kept | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, env=environment)
    threads, *modules = ran.stdout.rpartition("\nended ")[2].split()
    return int(threads), set(modules)


def imported(*words: str) -> set[str]:
    """Return the modules that a command imports."""
    return run(*words)[1]


@pytest.mark.parametrize("words", NEEDLESS, ids=" ".join)
def test_a_command_imports_nothing_needless(words: tuple[str, ...], photo: Path) -> None:
    with Image.open(photo) as image:
        image.save("photo.png")
    found = imported(*words)

    assert "compressor.cli.app" in found
    assert sorted(found & NEEDLESS[words]) == []


def test_a_batch_run_leaves_the_codec_to_its_workers(photo: Path) -> None:
    Path("in").mkdir()
    photo.rename("in/photo.jpg")
    found = imported("batch", "in", "out", "--ledger", "run.ledger", "--workers", "1", "--json")
    needless = {"PIL", "boto3", "botocore", "distributed", "obstore", "pydantic", "rich", *NETWORK, *METRICS, *CODEC}

    assert Path("out/photo.jpg").stat().st_size > 0
    assert sorted(found & needless) == []


def test_help_starts_no_server_for_workers() -> None:
    assert "compressor.fork_server" not in imported("batch", "--help")


def test_a_command_does_not_import_the_others(photo: Path) -> None:
    commands = {f"compressor.cli.{name}" for name in ("batch", "compress", "exporter", "footprint", "ledger", "serve")}

    assert imported("inspect", "photo.jpg") & commands == {"compressor.cli.compress"}
    assert imported(*HEALTH) & commands == {"compressor.cli.serve"}
    assert imported("--help") & commands == commands


def test_numpy_starts_no_threads(photo: Path) -> None:
    """OpenBLAS would start one for each core."""
    threads, modules = run("inspect", "photo.jpg", "--json")

    assert "numpy" in modules
    assert threads == 1
