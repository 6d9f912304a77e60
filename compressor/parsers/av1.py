"""The color description in an AV1 sequence header (AV1 5.5), for AVIF files that have no `colr`."""

from compressor.parsers.boxes import Extents

HEAD_BYTES = 512  # at the start of a coded image, which hold its sequence header
OBUS_MAX = 8
SEQUENCE_HEADER = 1


def code_points(coded: Extents) -> tuple[int, int] | None:
    """Return color primaries and transfer characteristics, or None where no sequence header gives them."""
    data, at = coded.read(0, HEAD_BYTES), 0
    for _ in range(OBUS_MAX):
        if at >= len(data) or not data[at] & 2:  # obu_has_size_field is 0
            return None
        kind, position = data[at] >> 3 & 15, at + 1 + (data[at] >> 2 & 1)
        size = shift = 0
        while position < len(data) and shift < 56:
            size |= (data[position] & 0x7F) << shift
            position, shift = position + 1, shift + 7
            if not data[position - 1] & 0x80:
                break
        if kind == SEQUENCE_HEADER:
            return _sequence_header(_Bits(data[position : position + size]))
        at = position + size
    return None


class _Bits:
    """A bit reader, most significant bit first; it returns zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            return 0
        return self._bits >> self._left & ((1 << count) - 1)


def _sequence_header(f: _Bits) -> tuple[int, int] | None:
    profile, _, reduced = f(3), f(1), f(1)
    if reduced:
        f(5)
    else:
        _operating_points(f)
    width_bits, height_bits = f(4) + 1, f(4) + 1
    f(width_bits)
    f(height_bits)
    if not reduced and f(1):  # frame_id_numbers_present_flag
        f(7)
    f(3)
    if not reduced:
        _tools(f)
    f(3)
    if f(1) and profile == 2:  # high_bitdepth
        f(1)
    if profile != 1:
        f(1)
    return (f(8), f(8)) if f(1) else None


def _operating_points(f: _Bits) -> None:
    delay_bits = 0
    if timing := f(1):
        f(64)
        if f(1):  # equal_picture_interval: a uvlc() number
            zeros = 0
            while zeros < 32 and not f(1):
                zeros += 1
            f(zeros)
    if timing and f(1):  # decoder_model_info_present_flag
        delay_bits = f(5) + 1
        f(42)
    display_delay = f(1)
    for _ in range(f(5) + 1):
        f(12)
        if f(5) > 7:
            f(1)
        if delay_bits and f(1):
            f(2 * delay_bits + 1)
        if display_delay and f(1):
            f(4)


def _tools(f: _Bits) -> None:
    f(4)
    order_hint = f(1)
    if order_hint:
        f(2)
    screen_content = 2 if f(1) else f(1)
    if screen_content and not f(1):
        f(1)
    if order_hint:
        f(3)
