"""GIF (GIF87a and GIF89a)."""

from collections.abc import Iterator

from compressor import icc
from compressor.containers import notes
from compressor.containers.container import Container
from compressor.containers.piece_table import PieceTable
from compressor.errors import CompressorError, FormatError
from compressor.parsers import gif
from compressor.parsers.gif import TITLE
from compressor.settings import Metadata
from compressor.window import Window

CREDENTIALS = b"C2PA_GIF"
CONTROL_BYTES = 4
LOOP_BYTES = 3


class GifContainer(Container):
    """A GIF file."""

    def without_metadata(self, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
        """Yield images with their graphic controls, loop counts and, with COLOR, the ICC profile.

        Plain text extensions are removed although GIF89a counts them as graphics: no decoder in use renders them.
        """
        window, kept = Window(self._source.read, self._source.size), PieceTable(TITLE)
        kept.copy(0, gif.header_bytes(window))
        images, end, has_profile, has_text = 0, 0, False, False
        for block in gif.blocks(window):
            end = block.end
            if block.label == gif.IMAGE:
                images += 1
                kept.copy(block.start, block.end - block.start)
                kept.append(b"" if block.complete else b"\0")
            elif block.label == gif.GRAPHIC_CONTROL:
                _keep_control(kept, window, block)
            elif block.name in gif.LOOPS:
                _keep_loops(kept, window, block)
            elif block.name == gif.ICC and not has_profile:
                has_profile = True
                _keep_profile(kept, window, block, policy, notices)
            elif block.name[:8] == CREDENTIALS:
                notes.note_credentials(notices)
            has_text |= block.label == gif.PLAIN_TEXT
        if not images:
            raise FormatError(TITLE, "image", end, "the file has no image")
        if has_text:
            notices.append("the text of a plain text extension was removed")
        kept.append(bytes([gif.TRAILER]))
        notes.note_trailing_bytes(self._source.size - end, notices)
        yield from kept.chunks(self._source)

    def unmapped_metadata(self) -> list[str]:
        window, names = Window(self._source.read, self._source.size), list[str]()
        try:
            for block in gif.blocks(window):
                if block.label == gif.TRAILER and block.end < self._source.size:
                    names.append(notes.trailing_bytes(self._source.size - block.end))
                elif block.label == gif.PLAIN_TEXT:
                    names.append("plain text extension")
                elif block.name[:8] == CREDENTIALS:
                    names.append(notes.CREDENTIALS)
                elif block.label == gif.APPLICATION and block.name not in (*gif.LOOPS, gif.XMP, gif.ICC):
                    names.append(f"application extension {notes.four_cc(block.name)}")
                elif block.label not in (gif.IMAGE, gif.TRAILER, gif.GRAPHIC_CONTROL, gif.COMMENT, gif.APPLICATION):
                    names.append(f"extension 0x{block.label:02x}")
                names = notes.first_names(names)
                if len(names) == notes.NAMES_MAX:
                    break
        except CompressorError:
            pass
        return names


def _keep_control(kept: PieceTable, window: Window, block: gif.Block) -> None:
    data = next(gif.sub_blocks(window, block), b"")
    if len(data) < CONTROL_BYTES:
        problem = f"{len(data)} bytes, {CONTROL_BYTES} are needed"
        raise FormatError(TITLE, "graphic control extension", block.start, problem)
    head = bytes([gif.EXTENSION, gif.GRAPHIC_CONTROL, CONTROL_BYTES])
    kept.append(head + data[:CONTROL_BYTES] + b"\0")


def _keep_loops(kept: PieceTable, window: Window, block: gif.Block) -> None:
    """Keep the loop count of the first sub-block that has one, and nothing after it."""
    for data in gif.sub_blocks(window, block):
        if len(data) >= LOOP_BYTES and data[0] & 7 == 1:
            count = bytes([LOOP_BYTES, 1]) + data[1:LOOP_BYTES]
            kept.append(bytes([gif.EXTENSION, gif.APPLICATION, len(block.name)]) + block.name + count + b"\0")
            return


def _keep_profile(kept: PieceTable, window: Window, block: gif.Block, policy: Metadata, notices: list[str]) -> None:
    profile = icc.trimmed(gif.sub_block_data(window, block, notes.ICC_BYTES_MAX))
    if policy is Metadata.STRIP:
        notes.note_profile(profile, notices)
        return
    kept.append(bytes([gif.EXTENSION, gif.APPLICATION, len(block.name)]) + block.name)
    for at in range(0, len(profile), 255):
        part = profile[at : at + 255]
        kept.append(bytes([len(part)]) + part)
    kept.append(b"\0")
