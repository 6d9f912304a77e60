"""Signatures of kernels: what arrays and numbers they take, in Numba's notation with C's `const`.

    "i8(const u1[::1], i8, (i2[:, ::1], i2[:, ::1]))"

is a kernel that returns an int64 and takes a uint8 vector that it only reads, an int64, and a tuple of two int16
matrices. All arrays are C-contiguous. The notation is read by `jit`, which compiles kernels, and by the generator of
the extension that binds compiled ones (scripts/kernels).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

DTYPES = {
    "b1": "bool", "u1": "uint8", "u2": "uint16", "u4": "uint32", "u8": "uint64",
    "i2": "int16", "i4": "int32", "i8": "int64", "f4": "float32", "f8": "float64",
}  # fmt: skip
SIGNATURE = re.compile(r"(\w+)\((.*)\)")
ARGUMENT = re.compile(r"(const )?(\w\w)((?:\[(?:: ?,? ?)*::1\])?)")


@dataclass(frozen=True, slots=True)
class Argument:
    """A number, or a C-contiguous array.

    code   a key of DTYPES
    ndim   0 for a number
    const  the array is only read, and may be read-only
    """

    code: str
    ndim: int
    const: bool


@dataclass(frozen=True, slots=True)
class Signature:
    """The result of a kernel, a key of DTYPES or "void", and its arguments, some of them in tuples."""

    result: str
    arguments: tuple[Argument | tuple[Argument, ...], ...]

    def flat(self) -> Iterator[Argument]:
        """Yield all arguments, those of tuples one by one."""
        for argument in self.arguments:
            yield from argument if isinstance(argument, tuple) else (argument,)


def split(text: str) -> list[str]:
    """Split at commas that are not inside brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def parse(text: str) -> Signature:
    """Read a signature. Raise ValueError if it is not one."""
    found = SIGNATURE.fullmatch(text)
    if found is None or found[1] not in {"void", *DTYPES}:
        raise ValueError(f"not a signature: {text!r}")
    return Signature(found[1], tuple(_argument(part) for part in split(found[2])))


def _argument(text: str) -> Argument | tuple[Argument, ...]:
    if text.startswith("("):
        return tuple(_one(part) for part in split(text[1:-1]))
    return _one(text)


def _one(text: str) -> Argument:
    found = ARGUMENT.fullmatch(text)
    if found is None or found[2] not in DTYPES or (found[1] and not found[3]):
        raise ValueError(f"not an argument of a kernel: {text!r}")
    return Argument(found[2], found[3].count(":") - 1 if found[3] else 0, bool(found[1]))
