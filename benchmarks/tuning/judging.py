"""Four judges of a result: MS-SSIM of luma, butteraugli's 3-norm, SSIMULACRA2 and ColorVideoVDP on a 4K display.

More is better by all: MS-SSIM in decibels (-10 log10 (1 - x)), butteraugli as -ln. Scores are kept by the digests of
both pictures. ColorVideoVDP needs `cvvdp` and PyTorch for the CPU; without it the judge is left out.
"""

import functools
import importlib.util
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.harness import scores
from benchmarks.harness.fidelity import Pixels

Judge = Callable[[Pixels, Pixels], float]
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli and Bovik 2003, section 3.2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def ms_ssim(source: Pixels, result: Pixels) -> float:
    """Return MS-SSIM of luma, with a Gaussian of sigma 1.5 (Wang, Simoncelli and Bovik 2003), in decibels."""
    from scipy.ndimage import gaussian_filter

    def smooth(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(gaussian_filter(plane, 1.5, truncate=3.5))

    x, y, product = source @ LUMA - 128, result @ LUMA - 128, 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        mx, my = smooth(x), smooth(y)
        xx, yy, xy = smooth(x * x) - mx * mx, smooth(y * y) - my * my, smooth(x * y) - mx * my
        similarity = (2 * xy + 58.5225) / (xx + yy + 58.5225)
        if scale == len(SCALE_WEIGHTS) - 1:
            mx, my = mx + 128, my + 128
            similarity *= (2 * mx * my + 6.5025) / (mx * mx + my * my + 6.5025)
        product *= max(float(similarity.mean(dtype=np.float64)), 1e-6) ** weight
        x, y = halved(x), halved(y)
    return -10 * math.log10(max(1 - product, 1e-9))


def halved(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return means of 2 x 2; an odd last line or column is left out."""
    even = plane[: len(plane) // 2 * 2, : plane.shape[1] // 2 * 2]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4)


def butteraugli(source: Pixels, result: Pixels) -> float:
    """Return -ln of butteraugli's 3-norm."""
    with scores.Scores(source, None) as known:
        return -math.log(known.butteraugli(result))


def ssimulacra2(source: Pixels, result: Pixels) -> float:
    """Return the score of PyPI's `ssimulacra2`."""
    files = []
    for pixels in (source, result):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PPM")
        file.seek(0)
        files.append(file)
    return scores.ssimulacra2(files[0], files[1])


@functools.cache
def _cvvdp() -> Judge:
    """Load ColorVideoVDP, for one thread."""
    import pycvvdp  # type: ignore[import-not-found, unused-ignore]
    import torch  # type: ignore[import-not-found, unused-ignore]

    torch.set_num_threads(1)
    metric = pycvvdp.cvvdp(display_name="standard_4k", device=torch.device("cpu"))
    return lambda source, result: float(metric.predict(result, source, dim_order="HWC")[0])


def cvvdp(source: Pixels, result: Pixels) -> float:
    """Return ColorVideoVDP's JOD (10: no difference) at a 4K display's default distance."""
    return _cvvdp()(source, result)


def judges() -> dict[str, Judge]:
    """Return the judges that are installed."""
    found: dict[str, Judge] = {
        "ms-ssim": ms_ssim,
        "butteraugli": butteraugli,
        "ssimulacra2": ssimulacra2,
        "cvvdp": cvvdp,
    }
    if not scores.has_butteraugli():
        del found["butteraugli"]
    if importlib.util.find_spec("pycvvdp") is None:
        del found["cvvdp"]
    return found


class Known:
    """Scores of results against one source, kept in a file."""

    def __init__(self, source: Pixels, folder: Path) -> None:
        self._source, self._file = source, folder / f"judges-{scores.digest(source)}.json"
        self._known: dict[str, dict[str, float]] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def score(self, result: Pixels) -> dict[str, float]:
        """Return the score by each judge."""
        kept = self._known.setdefault(scores.digest(result), {})
        for name, judge in judges().items():
            if name not in kept:
                kept[name] = judge(self._source, result)
        return kept

    def save(self) -> None:
        """Write the scores."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._known))
