"""An animated AVIF with a mark in every place of its tracks that can hold one."""

import io
import struct

from PIL import Image

from tests.planted import Planted
from tests.planted.box import Marks, box, boxes_of, full_box
from tests.planted.heif import obu, profile

INSIDE = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
DURATIONS = [100, 200, 50]


def film(mode: str = "RGBA") -> bytes:
    """Return an endless animation of three images with DURATIONS."""
    ramp = Image.linear_gradient("L").resize((64, 48))
    frames = [
        Image.merge("RGBA", [ramp.point(lambda value, at=at: (value + at) % 256)] * 3 + [ramp]).convert(mode)
        for at in (0, 60, 150)
    ]
    out = io.BytesIO()
    frames[0].save(out, "AVIF", save_all=True, append_images=frames[1:], duration=DURATIONS, speed=10)
    return out.getvalue()


def planted(data: bytes, marks: Marks, track: int = 0) -> bytes:
    """Boxes with marks in them and between them."""
    out = b""
    for kind, content in boxes_of(data):
        where = kind.decode()
        track += kind == b"trak"
        if kind in (b"mvhd", b"tkhd", b"mdhd"):  # times of creation and modification, of 64 bits in version 1
            times = 16 if content[0] == 1 else 8
            content = content[:4] + bytes(times) + content[4 + times :]
        if kind in INSIDE:
            content = planted(content, marks, track)
            content += box(b"udta", box(b"name", marks(f"udta in {where}"))) + box(b"free", marks(f"free in {where}"))
            if kind == b"trak":
                handler = full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13))
                content += full_box(b"meta", 0, 0, handler, full_box(b"xml ", 0, 0, marks(f"xml in {where}")))
        elif kind == b"hdlr":
            content = content[:24] + marks(f"name in {where}") + b"\0"
        elif kind == b"mvhd":
            content = content[:-28] + marks(f"reserved in {where}") + content[-12:]
        elif kind == b"stsd":
            content = content[:8] + described(content[8:], marks, track)
        elif kind in (b"stts", b"stss"):
            content += marks(f"slack of {where}")
        out += box(kind, content)
    return out


def described(data: bytes, marks: Marks, track: int) -> bytes:
    ((kind, entry),) = boxes_of(data)
    entry = entry[:42] + b"\x10" + marks("compressor of a track") + bytes(15) + entry[74:]
    if track == 1:
        entry += box(b"colr", b"prof", profile(marks("ICC profile of the track")))
    else:
        entry = entry.replace(b"alpha\0", b"alpha\0" + bytes(16))
        at = entry.index(b"auxi") - 4
        entry = entry[:at] + box(b"auxi", entry[at + 8 :].rstrip(b"\0") + b"\0" + marks("slack of auxi"))
    return box(kind, entry, box(b"zzzz", marks("unknown box in a description of samples")))


def everywhere() -> Planted:
    marks = Marks("avif-animated")
    found = dict(boxes_of(film()))
    moov = planted(box(b"moov", found[b"moov"]), marks)

    head = box(b"ftyp", found[b"ftyp"]) + box(b"meta", found[b"meta"])
    old = len(head) + 8 + len(found[b"moov"])
    message = obu(15, marks("OBU of padding in a gap") + b"\x80")
    delta = len(moov) - (len(found[b"moov"]) + 8) + len(message)
    data = moved(head + moov, old + 8, delta) + box(b"mdat", message, found[b"mdat"])
    return Planted("avif-animated", "avif", data, marks, frozenset({"ICC profile of the track"}))


def moved(head: bytes, first: int, delta: int) -> bytes:
    """Increase the offsets of chunks and items at `first` or later."""
    for kind in (b"stco", b"iloc"):
        at = -1
        while (at := head.find(kind, at + 1)) >= 0:
            (size,) = struct.unpack_from(">I", head, at - 4)
            entries = range(at + 12, at - 4 + size - 13, 14)
            places = [at + 12] if kind == b"stco" else [entry + 6 for entry in entries]
            for place in places:
                (offset,) = struct.unpack_from(">I", head, place)
                assert offset >= first
                head = head[:place] + struct.pack(">I", offset + delta) + head[place + 4 :]
    return head


def files() -> list[Planted]:
    return [everywhere()]
