"""The safety build: kernels that check every access to an array, including those of `kernels.lanes`.

The mode is read when kernels are compiled, so it needs a process of its own, and half a minute if they are not cached.
All tests that need it share one cache, which is kept from run to run: its key includes the sources and the mode.
"""

import os
import subprocess
import sys
from collections.abc import Mapping

from tests import ROOT

CACHE = ROOT / ".pytest_cache" / "safety"


def environment() -> dict[str, str]:
    """Return the environment of a process that runs kernels of the safety build."""
    ours = {"NUMBA_BOUNDSCHECK": "1", "COMPRESSOR_CACHE_DIR": str(CACHE), "PYTHONPATH": str(ROOT)}
    return {name: value for name, value in os.environ.items() if name != "COMPRESSOR_BAKED_CACHE"} | ours


def compiled() -> Mapping[str, str]:
    """Compile all kernels, then return the environment: two processes that start at once would both compile them."""
    made = environment()
    warmup = (
        "from compressor import kernels; from compressor.kernels import lanes; kernels.warmup(); assert lanes.CHECKED"
    )
    subprocess.run([sys.executable, "-c", warmup], env=made, cwd=ROOT, check=True, timeout=300)
    return made
