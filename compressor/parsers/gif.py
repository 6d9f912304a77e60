"""The blocks of a GIF file (GIF89a clauses 15 to 27), located without decoding the images."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from compressor.errors import FormatError
from compressor.humanize import human_format
from compressor.window import Window

TITLE = human_format("gif")
IMAGE, EXTENSION, TRAILER = 0x2C, 0x21, 0x3B
PLAIN_TEXT, GRAPHIC_CONTROL, COMMENT, APPLICATION = 0x01, 0xF9, 0xFE, 0xFF

XMP = b"XMP DataXMP"  # XMP specification part 3, 1.1.2
ICC = b"ICCRGBG1012"  # ICC.1:2022, B.6
LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
# After an XMP packet, which is not divided into sub-blocks: leads a reader of sub-blocks to a block terminator.
MAGIC_TRAILER = bytes([1, *range(255, -1, -1), 0])
ZEROS = re.compile(rb"\0+")


class Block(NamedTuple):
    """A block: `start` is its first byte, `end` the one after its last.

    label     IMAGE, TRAILER, or the label of an extension
    name      application identifier and authentication code, 11 bytes
    data      offset of the first data sub-block
    complete  whether the block terminator, or the trailer's byte, is in the file
    """

    label: int
    start: int
    end: int
    name: bytes = b""
    data: int = 0
    complete: bool = True


def header_bytes(window: Window) -> int:
    """Return the bytes of header, logical screen descriptor and global color table."""
    head = window.read(0, 13)
    if len(head) < 13 or head[:6] not in (b"GIF87a", b"GIF89a"):
        raise FormatError(TITLE, "header", 0, "not the header of a GIF file")
    size = 13 + _table_bytes(head[10])
    if size > window.size:
        raise FormatError(TITLE, "global color table", 13, "the file ends within it")
    return size


def blocks(window: Window) -> Iterator[Block]:
    """Yield the blocks after the global color table. The last one is the trailer, empty where it is missing.

    Raises FormatError where the file ends within an image, or where anything but zeros is between two blocks.
    """
    at, images = header_bytes(window), 0
    while True:
        held, index = window.buffer(at)
        if zeros := ZEROS.match(held, index):
            at += zeros.end() - index
            continue
        if index == len(held) or held[index] == TRAILER:
            yield Block(TRAILER, at, min(at + 1, window.size), complete=index < len(held))
            return
        if held[index] == IMAGE:
            block = _image(window, at)
            images += 1
        elif held[index] == EXTENSION:
            block = _extension(window, at)
        else:
            raise FormatError(TITLE, "block", at, f"0x{held[index]:02x} begins no block")
        if block.end > window.size:
            if block.label == IMAGE or not images:
                raise FormatError(
                    TITLE, "image" if block.label == IMAGE else "extension", at, "the file ends within it"
                )
            block = Block(TRAILER, at, at, complete=False)  # all images are complete
        yield block
        if block.label == TRAILER:
            return
        at = block.end


def sub_blocks(window: Window, block: Block) -> Iterator[bytes]:
    """Yield the data of a block's sub-blocks."""
    at = block.data
    while at < block.end and (length := window.read(at, 1)[0]):
        yield window.read(at + 1, min(length, block.end - at - 1))
        at += 1 + length


def sub_block_data(window: Window, block: Block, limit: int) -> bytes:
    """Return the concatenated data of a block's sub-blocks, at most `limit` bytes."""
    found = bytearray()
    for data in sub_blocks(window, block):
        found += data
        if len(found) >= limit:
            break
    return bytes(found[:limit])


def xmp(window: Window, block: Block, limit: int) -> bytes:
    """Return an XMP packet, whether or not it is divided into sub-blocks; b"" where it exceeds `limit` bytes."""
    size = block.end - block.data
    if size > limit:
        return b""
    data = window.read(block.data, size)
    return data.removesuffix(MAGIC_TRAILER) if data.endswith(MAGIC_TRAILER) else sub_block_data(window, block, limit)


def _table_bytes(flags: int) -> int:
    """Return the bytes of a color table from its packed fields."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _image(window: Window, at: int) -> Block:
    descriptor = window.read(at, 10)
    if len(descriptor) < 10:
        return Block(IMAGE, at, window.size + 1)
    data = at + 10 + _table_bytes(descriptor[9]) + 1  # after the LZW minimum code size
    end, complete = _sub_blocks_end(window, data)
    return Block(IMAGE, at, end, data=data, complete=complete)


def _extension(window: Window, at: int) -> Block:
    label = window.read(at + 1, 1)
    if not label:
        return Block(EXTENSION, at, window.size + 1)
    data, name = at + 2, b""
    if label[0] == APPLICATION and window.read(data, 1) == b"\x0b":
        name = window.read(data + 1, 11)
        data += 12
    end, complete = _sub_blocks_end(window, data)
    return Block(label[0], at, end, name, data, complete)


def _sub_blocks_end(window: Window, at: int) -> tuple[int, bool]:
    """Return the end of sub-blocks and whether a terminator ends them; beyond the file where it ends within one."""
    if at > window.size:
        return at, False
    while at < window.size:
        held, index = window.buffer(at)
        start = at - index
        while index < len(held):
            length = held[index]
            index += 1 + length
            if not length:
                return start + index, True
        at = start + index
    return at, False
