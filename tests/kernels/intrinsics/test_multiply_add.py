"""The multiply-add that rounds once, compared with exact arithmetic."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from numpy.typing import NDArray

from compressor.kernels import lanes, luminance
from compressor.kernels.declare import intrinsic, types

FLOATS = st.floats(-(2.0**40), 2.0**40, width=32, allow_subnormal=False)


def on_8_lanes(multiply_add: Any) -> Any:
    """Return a function that applies it to three float32 arrays of 8."""

    @intrinsic  # type: ignore[untyped-decorator]
    def apply(typing: Any, a: Any, b: Any, c: Any, out: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            zero, kinds = lanes.I64(0), signature.args
            values = [
                lanes.load(context, builder, kind, array, zero, lanes.F32, 8)
                for kind, array in zip(kinds[:3], arguments, strict=False)
            ]
            lanes.store(context, builder, kinds[3], arguments[3], zero, multiply_add(builder, *values))
            return context.get_dummy_value()

        return types.void(a, b, c, out), codegen

    def applied(a: Any, b: Any, c: Any, out: Any) -> None:
        apply(a, b, c, out)

    return njit(applied)


KINDS = {"instruction": on_8_lanes(luminance.multiply_add), "double": on_8_lanes(luminance.multiply_add_in_double)}


def exact(a: np.float32, b: np.float32, c: np.float32) -> float:
    """Return a b + c, rounded once to float32: ties to even."""
    total = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = np.float32(float(total))
    candidates = [np.nextafter(near, np.float32(-np.inf)), near, np.nextafter(near, np.float32(np.inf))]
    distances = [abs(Fraction(float(x)) - total) for x in candidates]
    best = [x for x, distance in zip(candidates, distances, strict=True) if distance == min(distances)]
    return float(next((x for x in best if not x.view(np.uint32) & 1), best[0]))


def check(kind: str, a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32]) -> None:
    out = np.empty(8, np.float32)
    KINDS[kind](a, b, c, out)
    assert out.tolist() == [exact(*each) for each in zip(a, b, c, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@given(values=st.lists(FLOATS, min_size=24, max_size=24))
@settings(max_examples=300)
def test_it_rounds_once(kind: str, values: list[float]) -> None:
    a, b, c = np.array(values, np.float32).reshape(3, 8)

    check(kind, a, b, c)


@pytest.mark.parametrize("kind", KINDS)
def test_sums_just_beside_a_tie_are_not_taken_for_one(kind: str) -> None:
    """1 + 2**-24 is a tie of float32. A term of 2**-60 more or less decides, but is lost in a double."""
    a = np.array([1, 1, -1, -1, 1 + 2**-23, 1 + 2**-23, 1, 1], np.float32)
    tiny = [2.0**-60, -(2.0**-60)] * 4
    for n in range(8):
        scale = np.float32(1 + 2.0**-12)
        first = np.array([scale] * 8, np.float32)
        check(kind, first, a, np.array(tiny, np.float32))
        check(kind, np.full(8, 2.0**-30, np.float32), np.roll(np.array(tiny, np.float32), n), a)
    tie = np.float32(1 + 2**-12)
    check(kind, np.full(8, tie), np.full(8, tie), np.array(tiny, np.float32))
