"""A build hook: the kernels are compiled when a wheel is built, or when the package is installed from its source.

The wheel has the library for its platform and every version of Python from 3.11 on. An editable install has it in the
source tree.
"""

import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsHook(BuildHookInterface):  # type: ignore[type-arg]
    def dependencies(self) -> list[str]:
        """Return a C compiler, for a machine that has none."""
        return [] if shutil.which("cc") else ["ziglang>=0.14,<1"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernels, and add the library to what is installed."""
        in_tree = Path(self.root, "compressor", "kernels")
        self._temporary = None if version == "editable" else tempfile.TemporaryDirectory()
        target = in_tree if self._temporary is None else Path(self._temporary.name)
        command = [sys.executable, "-m", "scripts.kernels.build", str(target)]
        made = Path(
            subprocess.run(command, cwd=self.root, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        )
        # "universal2" is Python's own: the library is for one kind of processor.
        target_platform = sysconfig.get_platform().replace("universal2", platform.machine())
        tag = target_platform.replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{tag}"
        if self._temporary is not None:
            build_data["force_include"][str(made)] = f"compressor/kernels/{made.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for the wheel."""
        if self._temporary is not None:
            self._temporary.cleanup()
