"""Header compression (RFC 7541) as far as a client of gRPC needs it: without a dynamic table, which it does not allow.

The client announces a dynamic table of 0 bytes, so that no field refers to an earlier one.
"""

from collections.abc import Mapping

STATIC_STATUS = {8: b"200", 9: b"204", 10: b"206", 11: b"304", 12: b"400", 13: b"404", 14: b"500"}  # Appendix A
STATIC_MAX = 61
HUFFMAN = 0x80
# Characters by the length of their codes, in the order of these (Appendix B): all of base64 have at most 11 bits.
CHARACTERS = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
}


def canonical(characters: Mapping[int, bytes]) -> dict[tuple[int, int], int]:
    """Return the characters by length and value of their codes, which rise."""
    found, code, last = {}, 0, 0
    for length, group in characters.items():
        code <<= length - last
        for character in group:
            found[length, code] = character
            code += 1
        last = length
    return found


CODES = canonical(CHARACTERS)


def integer(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return an integer with a prefix of some bits, and the position after it (5.1). Raises ValueError if cut off."""
    value, at = block[at] & ((1 << bits) - 1), at + 1
    if value < (1 << bits) - 1:
        return value, at
    for shift in range(0, 35, 7):
        if at >= len(block):
            break
        byte, at = block[at], at + 1
        value += (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("an integer of a header block is cut off")


def string(block: bytes, at: int) -> tuple[bytes, int]:
    """Return a string and the position after it (5.2). gRPC's servers use Huffman's code for binary metadata only."""
    if at >= len(block):
        raise ValueError("a string of a header block is cut off")
    length, begin = integer(block, at, 7)
    end = begin + length
    if end > len(block):
        raise ValueError("a string of a header block is cut off")
    return huffman_decoded(block[begin:end]) if block[at] & HUFFMAN else block[begin:end], end


def huffman_decoded(data: bytes) -> bytes:
    """Return what Huffman's code stands for, of characters in CODES. Raises ValueError for any other."""
    bits, count = int.from_bytes(data, "big"), 8 * len(data)
    found, code, length = bytearray(), 0, 0
    for at in range(count - 1, -1, -1):
        code, length = code << 1 | (bits >> at & 1), length + 1
        if (character := CODES.get((length, code))) is not None:
            found.append(character)
            code = length = 0
    if length > 7 or code != (1 << length) - 1:  # it ends with the beginning of a code of ones
        raise ValueError("a string of a header block has an unknown code")
    return bytes(found)


def name_of(index: int) -> bytes:
    """Return the name of a static field: only `:status` is known. Raises ValueError for one of a dynamic table."""
    if not 0 < index <= STATIC_MAX:
        raise ValueError(f"a header field refers to entry {index} of the dynamic table, which has no entries")
    return b":status" if index in STATIC_STATUS else b"static-%d" % index


def fields(block: bytes) -> dict[bytes, bytes]:
    """Return the fields of a header block. Raises ValueError if it is broken."""
    found, at = {}, 0
    while at < len(block):
        first = block[at]
        if first & 0x80:  # an indexed field (6.1)
            index, at = integer(block, at, 7)
            found[name_of(index)] = STATIC_STATUS.get(index, b"")
            continue
        if first & 0xE0 == 0x20:  # the size of the dynamic table (6.3)
            _, at = integer(block, at, 5)
            continue
        index, at = integer(block, at, 6 if first & 0x40 else 4)  # a literal (6.2)
        if index:
            name = name_of(index)
        else:
            name, at = string(block, at)
        found[name], at = string(block, at)
    return found
