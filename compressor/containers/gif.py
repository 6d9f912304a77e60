"""GIF (GIF87a and GIF89a)."""

from collections.abc import Iterator

from compressor import icc
from compressor.containers import notes
from compressor.containers.kept import Kept
from compressor.errors import CompressorError, FormatError
from compressor.parsers import gif
from compressor.settings import Metadata
from compressor.spool import Readable
from compressor.window import Window

TITLE = "GIF"
CREDENTIALS = b"C2PA_GIF"
CONTROL_BYTES = 4
LOOP_BYTES = 3


def without_metadata(source: Readable, policy: Metadata, notices: list[str]) -> Iterator[bytes]:
    """Yield the file reduced to what `policy` keeps (see `containers`).

    Of extensions only graphic controls and loop counts stay, and with COLOR an ICC profile. Plain text extensions go
    though GIF89a counts them as graphics: no decoder in use draws them.
    """
    window, kept = Window(source.read, source.size), Kept(TITLE)
    kept.keep(0, gif.header_bytes(window))
    images, end, has_profile, has_text = 0, 0, False, False
    for block in gif.blocks(window):
        end = block.end
        if block.label == gif.IMAGE:
            images += 1
            kept.keep(block.start, block.end - block.start)
            kept.add(b"" if block.complete else b"\0")
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
        raise FormatError(TITLE, "image", end, "the file has none")
    if has_text:
        notices.append("text that a plain text extension draws was removed")
    kept.add(bytes([gif.TRAILER]))
    notes.note_behind(source.size - end, notices)
    yield from kept.pieces(source)


def uncarried(source: Readable) -> list[str]:
    """Name what has no field in `metadata.Attachments` (see `containers`)."""
    window, names = Window(source.read, source.size), list[str]()
    try:
        for block in gif.blocks(window):
            if block.label == gif.TRAILER and block.end < source.size:
                names.append(notes.behind(source.size - block.end))
            elif block.label == gif.PLAIN_TEXT:
                names.append("plain text extension")
            elif block.name[:8] == CREDENTIALS:
                names.append(notes.CREDENTIALS)
            elif block.label == gif.APPLICATION and block.name not in (*gif.LOOPS, gif.XMP, gif.ICC):
                names.append(f"application extension {notes.four_cc(block.name)}")
            elif block.label not in (gif.IMAGE, gif.TRAILER, gif.GRAPHIC_CONTROL, gif.COMMENT, gif.APPLICATION):
                names.append(f"extension 0x{block.label:02x}")
            names = notes.named(names)
            if len(names) == notes.NAMES_MAX:
                break
    except CompressorError:
        pass
    return names


def _keep_control(kept: Kept, window: Window, block: gif.Block) -> None:
    data = next(gif.sub_blocks(window, block), b"")
    if len(data) < CONTROL_BYTES:
        problem = f"{len(data)} bytes, {CONTROL_BYTES} are needed"
        raise FormatError(TITLE, "graphic control extension", block.start, problem)
    head = bytes([gif.EXTENSION, gif.GRAPHIC_CONTROL, CONTROL_BYTES])
    kept.add(head + data[:CONTROL_BYTES] + b"\0")


def _keep_loops(kept: Kept, window: Window, block: gif.Block) -> None:
    """Keep the sub-block with the loop count, the first of its kind, and nothing that follows the count in it."""
    for data in gif.sub_blocks(window, block):
        if len(data) >= LOOP_BYTES and data[0] & 7 == 1:
            count = bytes([LOOP_BYTES, 1]) + data[1:LOOP_BYTES]
            kept.add(bytes([gif.EXTENSION, gif.APPLICATION, len(block.name)]) + block.name + count + b"\0")
            return


def _keep_profile(kept: Kept, window: Window, block: gif.Block, policy: Metadata, notices: list[str]) -> None:
    profile = icc.whole(gif.joined(window, block, notes.ICC_BYTES_MAX))
    if policy is Metadata.STRIP:
        notes.note_profile(profile, notices)
        return
    kept.add(bytes([gif.EXTENSION, gif.APPLICATION, len(block.name)]) + block.name)
    for at in range(0, len(profile), 255):
        part = profile[at : at + 255]
        kept.add(bytes([len(part)]) + part)
    kept.add(b"\0")
