"""The safety build: kernels that check every access to an array, those of `kernels.lanes` included.

The mode is read when kernels are compiled, so that it takes a process of its own, and half a minute where no cache has
them. All tests that need it share one cache, which is kept from run to run: its key has the sources and the mode in it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from tests import ROOT

CACHE = ROOT / ".pytest_cache" / "safety"


def environment() -> dict[str, str]:
    """For a process that runs kernels of the safety build."""
    ours = {"NUMBA_BOUNDSCHECK": "1", "COMPRESSOR_CACHE_DIR": str(CACHE), "PYTHONPATH": str(ROOT)}
    return {name: value for name, value in os.environ.items() if name != "COMPRESSOR_BAKED_CACHE"} | ours


def compiled() -> Mapping[str, str]:
    """The same, when all kernels are in the cache: two processes that start at once would both compile them."""
    made = environment()
    warmup = (
        "from compressor import kernels; from compressor.kernels import lanes; kernels.warmup(); assert lanes.CHECKED"
    )
    subprocess.run([sys.executable, "-c", warmup], env=made, cwd=ROOT, check=True, timeout=300)
    return made
