"""MS-SSIM of luma.

After Z. Wang, E. P. Simoncelli and A. C. Bovik, "Multi-scale structural similarity for image quality assessment",
Asilomar 2003: contrast and structure at five scales, luminance at the coarsest, each to a power. Two deviations:
borders are mirrored, not left out, so that small images have all scales. The means of 2 × 2 samples between scales
begin at odd rows and columns, so that they do not coincide with the blocks of a JPEG.
"""

import numpy as np
import numpy.typing as npt

from benchmarks.harness.fidelity import Pixels

Plane = npt.NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])  # Rec. ITU-R BT.601-7, 2.5.1, as JFIF has it
EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # from the finest scale to the coarsest
SIGMA, RADIUS = 1.5, 5  # of the window, a Gaussian of 11 × 11 samples
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
MEAN_MIN = 1e-6  # a scale's mean may be negative; its power would not be real


def ms_ssim(source: Pixels, result: Pixels) -> float:
    """Return the MS-SSIM of two images, (height, width, 3): at most 1, which means that their luma is identical."""
    product = 1.0
    x, y = (np.asarray(image @ LUMA, np.float64) for image in (source, result))
    for exponent in EXPONENTS[:-1]:
        product *= max(MEAN_MIN, float(_similarity(x, y)[1].mean())) ** exponent
        x, y = _halved(x), _halved(y)
    luminance, structure = _similarity(x, y)
    return float(product * max(MEAN_MIN, float((luminance * structure).mean())) ** EXPONENTS[-1])


def _similarity(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Return the similarity of luminance, and that of contrast and structure, at every sample (formulas 1 to 4)."""
    from scipy.ndimage import gaussian_filter

    def local_mean(plane: Plane) -> Plane:
        return np.asarray(gaussian_filter(plane, SIGMA, radius=RADIUS))

    mean_x, mean_y = local_mean(x), local_mean(y)
    variances = local_mean(x * x + y * y) - mean_x**2 - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance, (2 * covariance + C2) / (variances + C2)


def _halved(plane: Plane) -> Plane:
    """Return means of 2 × 2 samples, the second of which has an even row and column; (0, 0) is mirrored."""
    from scipy.ndimage import uniform_filter

    return np.asarray(uniform_filter(plane, 2)[::2, ::2])
