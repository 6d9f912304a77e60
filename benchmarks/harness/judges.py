"""Judges of visual quality: four metrics that compare a result with its source, each as its authors provide it.

- MS-SSIM of luma, `ms_ssim`;
- the 3-norm of butteraugli by libjxl's `butteraugli_main` (Debian: libjxl-devtools), for a display of 80 nits;
- SSIMULACRA2 by the PyPI package `ssimulacra2`;
- ColorVideoVDP by the PyPI package `cvvdp` (R. K. Mantiuk et al., "ColorVideoVDP", SIGGRAPH 2024), for its display
  `standard_4k`. It needs PyTorch, so that it has an extra of its own, `judges`.
"""

import functools
import hashlib
import importlib.util
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from benchmarks.harness import record
from benchmarks.harness.fidelity import Pixels
from benchmarks.harness.ms_ssim import ms_ssim

BUTTERAUGLI_PROGRAM = "butteraugli_main"
THREE_NORM = re.compile(r"^3-norm: ([0-9.]+)$", re.MULTILINE)
DISPLAY = "standard_4k"


@dataclass(frozen=True)
class Pair:
    """A source and a result: their pixels, (height, width, 3), and the files that have them."""

    source: Pixels
    result: Pixels
    source_path: Path
    result_path: Path


@dataclass(frozen=True)
class Judge:
    """A metric of visual quality.

    name     as in files of results and scores
    title    as in tables
    compare  returns the metric's own figure
    rising   converts a figure to a scale on which more is better
    version  returns the version of the implementation, which cached scores are of
    missing  returns why it cannot be used here, or ""
    """

    name: str
    title: str
    compare: Callable[[Pair], float]
    rising: Callable[[float], float]
    version: Callable[[], str]
    missing: Callable[[], str]


def ssimulacra2(source: Path | BinaryIO, result: Path | BinaryIO) -> float:
    """Compare two image files: 100 means that they are identical."""
    from ssimulacra2 import compute_ssimulacra2

    return float(compute_ssimulacra2(source, result))


def ssimulacra2_of(pair: Pair) -> float:
    """Return the SSIMULACRA2."""
    return ssimulacra2(pair.source_path, pair.result_path)


def butteraugli_of(pair: Pair) -> float:
    """Return the 3-norm of butteraugli: 0 means that the images are identical."""
    command = [BUTTERAUGLI_PROGRAM, str(pair.source_path), str(pair.result_path), "--pnorm", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = THREE_NORM.search(done.stdout)
    if found is None:
        raise ValueError(f"no 3-norm in the output of {BUTTERAUGLI_PROGRAM}: {done.stdout[:200]!r}")
    return float(found[1])


def butteraugli_version() -> str:
    """Return a digest of the program, which does not print a version."""
    path = shutil.which(BUTTERAUGLI_PROGRAM)
    return "" if path is None else hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]


def butteraugli_missing() -> str:
    """Return why the program cannot be called, or ""."""
    found = shutil.which(BUTTERAUGLI_PROGRAM)
    return "" if found else f"{BUTTERAUGLI_PROGRAM} (Debian: libjxl-devtools) is not installed"


def ms_ssim_of(pair: Pair) -> float:
    """Return the MS-SSIM of luma: 1 means that it is identical."""
    return ms_ssim(pair.source, pair.result)


@functools.cache
def display_model() -> Any:
    """Return ColorVideoVDP on the CPU. It takes one thread, since every process scores an image of its own."""
    import pycvvdp
    import torch

    torch.set_num_threads(1)
    return pycvvdp.cvvdp(display_name=DISPLAY, device=torch.device("cpu"))


def cvvdp_of(pair: Pair) -> float:
    """Return the quality by ColorVideoVDP in just-objectionable differences: 10 means that no one sees any."""
    return float(display_model().predict(pair.result, pair.source, dim_order="HWC")[0])


@functools.cache
def cvvdp_missing() -> str:
    """Return why the package cannot be used, or "". A torchvision of another build than PyTorch's does not load."""
    if importlib.util.find_spec("pycvvdp") is None:
        return "cvvdp is not installed (compressor[judges] has it)"
    try:
        display_model()
    except (ImportError, OSError, RuntimeError) as error:
        return f"cvvdp does not load: {error}"
    return ""


MS_SSIM = Judge(
    "ms_ssim",
    "MS-SSIM",
    ms_ssim_of,
    lambda figure: -10 * math.log10(1 - figure) if figure < 1 else math.inf,
    version=lambda: "1",  # to be raised with every change of a figure
    missing=lambda: "",
)
BUTTERAUGLI = Judge(
    "butteraugli",
    "butteraugli",
    butteraugli_of,
    lambda figure: -math.log(figure) if figure > 0 else math.inf,
    butteraugli_version,
    butteraugli_missing,
)
SSIMULACRA2 = Judge(
    "ssimulacra2",
    "SSIMULACRA2",
    ssimulacra2_of,
    lambda figure: figure,
    functools.partial(record.version, "ssimulacra2"),
    missing=lambda: "",  # `compressor[demo]` has it, and every benchmark of photographs needs that
)
CVVDP = Judge(
    "cvvdp",
    "ColorVideoVDP",
    cvvdp_of,
    lambda figure: figure,
    lambda: f"{record.version('cvvdp')} {DISPLAY}",
    cvvdp_missing,
)
JUDGES = (MS_SSIM, BUTTERAUGLI, SSIMULACRA2, CVVDP)
BY_NAME = {judge.name: judge for judge in JUDGES}


def usable(judges: Sequence[Judge] = JUDGES) -> list[str]:
    """Return the names of the judges that can be used here."""
    return [judge.name for judge in judges if not judge.missing()]
