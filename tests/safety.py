"""The safety build: kernels that check every access to an array, including those of `kernels.lanes`.

The mode is read when kernels are compiled, so it needs a process of its own, and half a minute where no cache has
them. All tests that need it share one cache, which is kept between runs: its key contains the sources and the mode.

`python -m tests.safety` compiles this build, and the kernels that Numba compiles without checks, both at once, so that
parallel tests find them.
"""

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping

from tests import ROOT

CACHE = ROOT / ".pytest_cache" / "safety"
IMPORT = "from compressor import kernels; kernels.import_all()"
COMPILE_SECONDS_MAX = 600


def environment() -> dict[str, str]:
    """Return the environment of a process that runs kernels of the safety build."""
    return os.environ | {"COMPRESSOR_KERNELS": "safe", "NUMBA_CACHE_DIR": str(CACHE), "PYTHONPATH": str(ROOT)}


def compiled() -> Mapping[str, str]:
    """Return the same environment once all kernels are in the cache. Of several processes, one compiles them."""
    made = environment()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run([sys.executable, "-c", IMPORT], env=made, cwd=ROOT, check=True, timeout=COMPILE_SECONDS_MAX)
    return made


if __name__ == "__main__":
    unchecked = os.environ | {"COMPRESSOR_KERNELS": "numba"}
    with subprocess.Popen([sys.executable, "-c", IMPORT], env=unchecked, cwd=ROOT) as usual:
        compiled()
    sys.exit(usual.returncode)
