"""The forms in which an image can be stored losslessly: color type, bit depth, palette, and the chunks that depend on
them.

A chunk that can't be converted exactly rules a form out; it is never approximated and never dropped.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from compressor.kernels.png.rgba16 import BITS1, BITS2, BITS4, COLORED, DEEP, TRANSLUCENT
from compressor.png.chunks import Chunk
from compressor.png.header import GREY, GREY_ALPHA, PALETTE, RGB, RGBA, SAMPLES, PngHeader
from compressor.png.rgba16 import pixel, rgba, scaled, transparent_pixel

COLORS_MAX = 256
OPAQUE = 0xFFFF << 48
# Chunks that precede PLTE (table 7).
BEFORE_PALETTE = (b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI")
# Chunks that have the same meaning in every form of the image, although they are unsafe to copy (clause 14.2).
INDEPENDENT = (*BEFORE_PALETTE, b"sPLT", b"tIME")
# Color spaces, which differ between grey and RGB (clauses 11.3.2.3, 11.3.2.6 to 8).
COLOR_SPACES = (b"iCCP", b"cICP", b"mDCV", b"cLLI")


@dataclass(frozen=True, slots=True)
class Form:
    """A way of storing an image's pixels.

    palette  pixels in the format of `rgba16`; empty unless the color type is 3
    key      for color types 0 and 2, the opaque pixel that is transparent, or None
    """

    color_type: int
    bit_depth: int
    palette: tuple[int, ...] = ()
    key: int | None = None

    @property
    def bits_per_pixel(self) -> int:
        return SAMPLES[self.color_type] * self.bit_depth

    @property
    def grey(self) -> bool:
        return self.color_type in (GREY, GREY_ALPHA)


def candidates(header: PngHeader, chunks: Sequence[Chunk], needs: int, colors: Sequence[int]) -> list[Form]:
    """Return the smallest form of each kind that stores the image losslessly and that its chunks allow.

    needs   flags as returned by the kernel of that name
    colors  all colors of the image, or none where it has more than 256
    """
    found: list[Form] = []
    for family in (_grey(header, needs), _true_color(header, needs)):
        if not found:
            found += [form for form in family if convert_chunks(chunks, header, form) is not None][:1]
    smallest = found[0].bits_per_pixel if found else 64
    for palette in _palettes(header, chunks, colors) if not needs & DEEP else ():
        least = next(bits for bits in (1, 2, 4, 8) if len(palette) <= 1 << bits)
        # Indices of a byte each may compress better than packed ones.
        for depth in sorted({least, 8}):
            form = Form(PALETTE, depth, tuple(palette))
            if (
                form.bits_per_pixel < smallest
                and form not in found
                and convert_chunks(chunks, header, form) is not None
            ):
                found.append(form)
    return found


def _grey(header: PngHeader, needs: int) -> Iterator[Form]:
    """Yield greyscale forms of all sufficient depths, the smallest first."""
    if needs & COLORED:
        return
    key = transparent_pixel(header) if needs & TRANSLUCENT else None
    if needs & TRANSLUCENT and key is None:
        yield from (Form(GREY_ALPHA, depth) for depth in _depths(needs))
        return
    if not needs & DEEP:
        for depth, more in ((1, BITS1 | BITS2 | BITS4), (2, BITS2 | BITS4), (4, BITS4)):
            if not needs & more:
                yield Form(GREY, depth, key=key)
    yield from (Form(GREY, depth, key=key) for depth in _depths(needs))


def _true_color(header: PngHeader, needs: int) -> Iterator[Form]:
    """Yield truecolor forms, none for a palette or grey source, which would only become larger."""
    if header.color_type not in (RGB, RGBA):
        return
    key = transparent_pixel(header) if needs & TRANSLUCENT else None
    alpha = bool(needs & TRANSLUCENT) and key is None
    yield from (Form(RGBA if alpha else RGB, depth, key=key) for depth in _depths(needs))


def _depths(needs: int) -> tuple[int, ...]:
    return (16,) if needs & DEEP else (8, 16)


def _palettes(header: PngHeader, chunks: Sequence[Chunk], colors: Sequence[int]) -> Iterator[list[int]]:
    """Yield palettes in the order of the source or of appearance, and by brightness; transparent colors come first.

    A background that is not a color of the image is an additional entry.
    """
    if not colors:
        return
    backdrop = next((background(chunk, header) for chunk in chunks if chunk.type == b"bKGD"), None)
    known = list(colors)
    if backdrop is not None and all((backdrop ^ color) & ~OPAQUE for color in known):
        known.append(backdrop)
    if len(known) > COLORS_MAX:
        return
    if header.color_type == PALETTE:
        places = {entry: place for place, entry in enumerate(dict.fromkeys(_entries(header)))}
        known.sort(key=lambda color: places.get(color, len(places)))
    # tRNS ends with the last entry that is not opaque.
    yield sorted(known, key=lambda color: color & OPAQUE == OPAQUE)
    yield sorted(known, key=lambda color: (color & OPAQUE == OPAQUE, _brightness(color), color))


def _entries(header: PngHeader) -> Iterator[int]:
    """Yield the palette of a source as pixels."""
    alpha = header.transparency or b""
    for number in range(len(header.palette) // 3):
        red, green, blue = header.palette[3 * number : 3 * number + 3]
        opacity = alpha[number] if number < len(alpha) else 255
        yield pixel(257 * red, 257 * green, 257 * blue, 257 * opacity)


def _brightness(color: int) -> int:
    return 299 * (color & 0xFFFF) + 587 * (color >> 16 & 0xFFFF) + 114 * (color >> 32 & 0xFFFF)


def convert_chunks(chunks: Sequence[Chunk], source: PngHeader, form: Form) -> list[Chunk] | None:
    """Return the chunks before the image data for another form, or None where one of them can't be converted."""
    left: list[Chunk] = []
    colorful = source.color_type in (RGB, RGBA)
    for chunk in chunks:
        if chunk.type == b"tRNS" or (chunk.type == b"PLTE" and not colorful):
            continue
        if chunk.type in (b"PLTE", b"hIST"):  # a suggested palette; or its histogram
            made = chunk if form.color_type in (RGB, RGBA) else None
        elif chunk.type == b"bKGD":
            made = _background_for(chunk, source, form)
        elif chunk.type == b"sBIT":
            made = _significant_bits_for(chunk, source, form)
        elif chunk.type in COLOR_SPACES:
            made = chunk if (source.color_type in (GREY, GREY_ALPHA)) == form.grey else None
        else:
            made = chunk if is_form_independent(chunk) else None
        if made is None:
            return None
        left.append(made)
    first = [chunk for chunk in left if chunk.type in BEFORE_PALETTE]
    suggested = [chunk for chunk in left if chunk.type == b"PLTE"]
    rest = [chunk for chunk in left if chunk not in first and chunk not in suggested]
    return [*first, *suggested, *_palette_chunks(form), *rest]


def is_form_independent(chunk: Chunk) -> bool:
    """Return whether a chunk is valid for any image data: safe to copy (clause 5.4), or INDEPENDENT."""
    return bool(chunk.type[3] & 0x20) or chunk.type in INDEPENDENT


def _palette_chunks(form: Form) -> Iterator[Chunk]:
    """Yield PLTE and tRNS of a form that has them."""
    if form.palette:
        entries = np.array(form.palette, "<u8").view(np.uint8).reshape(-1, 8)[:, 1::2]  # the high bytes of samples
        yield Chunk(b"PLTE", entries[:, :3].tobytes())
        alpha = entries[:, 3].tobytes().rstrip(b"\xff")
        if alpha:
            yield Chunk(b"tRNS", alpha)
    elif form.key is not None:
        samples = rgba(form.key)[: 1 if form.color_type == GREY else 3]
        yield Chunk(b"tRNS", b"".join(struct.pack(">H", sample >> (16 - form.bit_depth)) for sample in samples))


def background(chunk: Chunk, source: PngHeader) -> int | None:
    """Return bKGD's color (clause 11.3.4.1) as an opaque pixel, None where it is invalid."""
    if source.color_type == PALETTE:
        entries = list(_entries(source))
        if len(chunk.data) != 1 or chunk.data[0] >= len(entries):
            return None
        return entries[chunk.data[0]] | OPAQUE
    count = 1 if source.color_type in (GREY, GREY_ALPHA) else 3
    if len(chunk.data) != 2 * count:
        return None
    samples = struct.unpack(f">{count}H", chunk.data)
    if max(samples) >> source.bit_depth:
        return None
    wide = [scaled(sample, source.bit_depth) for sample in samples]
    return pixel(*(wide * 3 if count == 1 else wide))


def _background_for(chunk: Chunk, source: PngHeader, form: Form) -> Chunk | None:
    color = background(chunk, source)
    if color is None:
        return None
    if form.palette:
        for number, entry in enumerate(form.palette):
            if entry | OPAQUE == color:
                return replace(chunk, data=bytes([number]))
        return None
    samples = rgba(color)[:3]
    narrow = [sample >> (16 - form.bit_depth) for sample in samples]
    if any(scaled(low, form.bit_depth) != high for low, high in zip(narrow, samples, strict=True)):
        return None
    if form.grey and len(set(narrow)) > 1:
        return None
    return replace(chunk, data=struct.pack(">H", narrow[0]) if form.grey else struct.pack(">3H", *narrow))


def _significant_bits_for(chunk: Chunk, source: PngHeader, form: Form) -> Chunk | None:
    """Return sBIT (clause 11.3.2.4) for a form, None where it can't be converted; a palette has 8-bit entries."""
    depth = 8 if form.color_type == PALETTE else form.bit_depth
    had_alpha, has_alpha = source.color_type in (GREY_ALPHA, RGBA), form.color_type in (GREY_ALPHA, RGBA)
    count = (1 if source.color_type in (GREY, GREY_ALPHA) else 3) + had_alpha
    values = list(chunk.data)
    if len(values) != count or not all(0 < value <= depth for value in values) or (has_alpha and not had_alpha):
        return None
    alpha = [values.pop()] if had_alpha else []
    if form.grey and len(set(values)) > 1:
        return None
    values = values[:1] if form.grey else values * (3 // len(values))
    return replace(chunk, data=bytes(values + alpha * has_alpha))
