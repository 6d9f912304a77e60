"""The study of gradients: the score and its gradient, decoding in floats, and encodings that follow the gradient."""

import numpy as np
import pytest

from benchmarks.harness import encoders
from benchmarks.harness.fidelity import Pixels, decoded
from benchmarks.tuning.candidate import Candidate
from benchmarks.tuning.decoding import Decoder
from benchmarks.tuning.following import following
from benchmarks.tuning.gradient import SIDE, Array, FineLuma, Gradient
from benchmarks.tuning.scale import score
from compressor.bytestream import ByteStream
from compressor.jpeg.reader import read_header, read_slabs

HEIGHT, WIDTH = 121, 150


def picture(seed: int) -> Pixels:
    """Return smooth colors with noise that is stronger from left to right: (HEIGHT, WIDTH, 3)."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    colors = np.stack([128 + 90 * np.sin(x / 17), 128 + 90 * np.sin((x + y) / 29), 128 + 90 * np.cos(y / 13)], 2)
    noise = generator.normal(0, 20, (HEIGHT, WIDTH, 1)) * (x / WIDTH)[:, :, None]
    found: Pixels = np.clip(np.rint(colors + noise), 0, 255).astype(np.uint8)
    return found


def planes(pixels: Pixels) -> Array:
    """Return R, G and B as floats: (3, height, width)."""
    return np.moveaxis(pixels, 2, 0).astype(np.float64)


@pytest.fixture(scope="module")
def source() -> Pixels:
    return picture(1)


@pytest.fixture(scope="module")
def gradient(source: Pixels) -> Gradient:
    return Gradient(source)


def test_the_score_is_that_of_the_product(source: Pixels, gradient: Gradient) -> None:
    result = decoded(encoders.PILLOW.encode(source, 60))
    assert gradient(planes(result))[0] == pytest.approx(score(source, result), abs=0.01)
    assert gradient(planes(source))[0] == pytest.approx(100, abs=1e-3)


@pytest.mark.parametrize("corner", [(0, 0), (40, 70), (HEIGHT - 6, WIDTH - 6)])
def test_the_gradient_is_the_change_of_the_score(source: Pixels, gradient: Gradient, corner: tuple[int, int]) -> None:
    result = np.clip(planes(decoded(encoders.PILLOW.encode(source, 40))), 1, 254)
    change = np.zeros_like(result)
    top, left = corner
    change[:, top : top + 6, left : left + 6] = np.random.default_rng(2).normal(0, 1e-3, (3, 6, 6))
    by_sample = gradient(result)[1]
    more, less = gradient(result + change)[0], gradient(result - change)[0]
    assert float((by_sample * change).sum()) == pytest.approx((more - less) / 2, rel=1e-3)


def test_the_gradient_of_fine_luma_is_the_change_of_its_norms(source: Pixels) -> None:
    luma, result = (planes(pixels).mean(0) for pixels in (source, decoded(encoders.PILLOW.encode(source, 40))))
    change = np.random.default_rng(6).normal(0, 1e-3, luma.shape)
    fine = FineLuma(luma)
    by_sample = fine(result)[1]
    more, less = fine(result + change)[0], fine(result - change)[0]
    assert float((by_sample * change).sum()) == pytest.approx((more - less) / 2, rel=1e-3)
    assert fine(luma)[0] == pytest.approx(0, abs=1e-5)


def test_samples_that_are_clamped_have_no_gradient(gradient: Gradient) -> None:
    result = np.full((3, HEIGHT, WIDTH), 255.0)
    result[:, :60] = -3
    assert not gradient(result)[1].any()


def test_small_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match=f"at least {SIDE} a side"):
        Gradient(np.zeros((SIDE, SIDE - 1, 3), np.uint8))


def components(seed: int) -> list[Array]:
    """Return coefficients of HEIGHT x WIDTH, 4:2:0: luma that is partly clamped, and chroma."""
    generator = np.random.default_rng(seed)
    shapes = [(16, 20), (8, 10), (8, 10)]
    decay = np.linspace(60, 1, 64)
    return [
        generator.normal(0, 1, (*shape, 64)) * decay * scale for shape, scale in zip(shapes, (4, 1, 1), strict=True)
    ]


def test_decoding_is_that_of_libjpeg_without_its_rounding(source: Pixels) -> None:
    data = encoders.PILLOW.encode(source, 75)
    stream = ByteStream([data])
    header = read_header(stream)
    rows = np.concatenate([slab.copy() for slab in read_slabs(stream, header)]).reshape(header.frame.mcu_rows, -1, 64)
    parts = []
    for component, (first, across, _, down) in zip(header.frame.components, header.frame.layout.tolist(), strict=True):
        blocks = rows[:, first : first + across * down] * header.quantization[component.tq].astype(np.float64)
        parts.append(blocks.reshape(-1, across, 64))
    found = np.clip(Decoder(WIDTH, HEIGHT).decoded(parts), 0, 255)
    difference = abs(found - planes(decoded(data)))
    # libjpeg rounds luma, chroma, which counts up to 1.772 times, chroma again when it is upsampled, and the result.
    assert difference.max() < 0.5 * (1 + 1.772 + 1.772 + 1)
    assert difference.mean() < 0.6


def test_the_transpose_belongs_to_the_decoder() -> None:
    decoder, at = Decoder(WIDTH, HEIGHT), components(3)
    change = [part * 1e-5 for part in components(4)]
    weights = np.random.default_rng(5).normal(0, 1, (3, HEIGHT, WIDTH))
    more = decoder.decoded([part + move for part, move in zip(at, change, strict=True)])
    less = decoder.decoded([part - move for part, move in zip(at, change, strict=True)])
    by_coefficient = decoder.transposed(weights, at)
    found = sum(float((part * move).sum()) for part, move in zip(by_coefficient, change, strict=True))
    assert found == pytest.approx(float(((more - less) / 2 * weights).sum()), rel=1e-3)


def test_without_a_step_the_file_is_that_of_best_and_with_three_no_equal_score_has_fewer_bytes(source: Pixels) -> None:
    encode = encoders.ours("best")(source)

    def coded(steps: int) -> bytes:
        with Candidate().at(2.4), following(2.4, steps):
            return encode(50)

    with Candidate().at(2.4):
        best = encode(50)
    followed = coded(3)
    assert coded(0) == best
    with Candidate(gradients=3).at(2.4):
        assert encode(50) == followed
    with Candidate(gradients=3, fine=1).at(2.4):
        mixed = encode(50)
    assert mixed not in (best, followed)
    with Candidate().at(2.25):
        finer = encode(50)
    assert len(finer) > len(followed)
    assert score(source, decoded(followed)) > score(source, decoded(finer))


def test_only_the_effort_with_a_trellis_follows(source: Pixels) -> None:
    with Candidate(gradients=1).at(2.4), pytest.raises(ValueError, match="only `best`"):
        encoders.ours("balanced")(source)(50)
