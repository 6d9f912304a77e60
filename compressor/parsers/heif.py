"""The meta box of HEIF files (ISO/IEC 23008-12, ISO/IEC 14496-12 8.11): items, their locations, references and
properties."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from compressor.errors import FormatError, LimitError, UnsupportedError
from compressor.humanize import human_format
from compressor.parsers import boxes
from compressor.parsers.boxes import Box, Extent, Fields
from compressor.spool import Readable

ITEMS_MAX = 1 << 14
EXTENTS_MAX = 1 << 16  # of all items together
LINKS_MAX = 1 << 17  # references and properties of all items together
# Handler names that writers put into every file.
COMMON_HANDLERS = {b"", b"GPAC pict Handler", b"libavif", b"AVIF Still Picture", b"PictureHandler"}
READ = {b"hdlr", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"grpl", b"dinf", b"free", b"skip"}
PROPERTIES_MAX = 255  # of an item
AVIF_BRANDS = {b"avif", b"avis"}
IDENTICAL_FILE = 0  # data_reference_index of items in the file itself


@dataclass(slots=True)
class Item:
    """An item: an image, part of one, or metadata.

    kind        item type: b"av01", b"grid", b"Exif", …
    name        item name and any bytes that follow it
    media       content type of a `mime` item, else b""
    extents     extents of its data in the file
    in_idat     whether the data is in the idat box of the meta box
    properties  indices of its properties, from 0, and whether each is essential
    obstacle    why its data can't be read, or ""
    """

    number: int
    kind: bytes
    name: bytes = b""
    media: bytes = b""
    hidden: bool = False
    extents: list[Extent] = field(default_factory=list)
    in_idat: bool = False
    properties: list[tuple[int, bool]] = field(default_factory=list)
    obstacle: str = ""


@dataclass(slots=True)
class Reference:
    """A typed reference (8.11.12) from one item to others, whose order matters."""

    kind: bytes
    origin: int
    targets: list[int]


@dataclass(slots=True)
class Heif:
    """The structure of a HEIF file.

    title       of the format, for messages
    top         top-level boxes, up to a second file type box
    end         end offset of these
    properties  type and content of each item property
    groups      entity groups (8.18.3): type, group ID and item IDs
    idat        extent of the content of the idat box, or None
    others      names of other content of the meta box
    """

    title: str
    brands: list[bytes]
    top: list[Box]
    end: int
    primary: int
    items: dict[int, Item]
    references: list[Reference]
    properties: list[tuple[bytes, bytes]]
    groups: list[tuple[bytes, int, list[int]]]
    idat: Extent | None = None
    others: list[str] = field(default_factory=list)

    def inputs(self) -> dict[int, list[int]]:
        """Return the input items of each derived image."""
        found: dict[int, list[int]] = {}
        for link in self.references:
            if link.kind == b"dimg":
                found.setdefault(link.origin, []).extend(link.targets)
        return found

    def find(self, item: Item, kind: bytes) -> bytes | None:
        """Return the content of an item's first property of a type."""
        for index, _ in item.properties:
            if self.properties[index][0] == kind:
                return self.properties[index][1]
        return None

    def auxiliary_type(self, item: Item) -> bytes:
        """Return the type of an auxiliary image (ISO/IEC 23008-12, 6.5.8), b"" where the item is none."""
        found = self.find(item, b"auxC")
        return b"" if found is None else found[4:].split(b"\0")[0]


def read(source: Readable) -> Heif:
    """Read the meta box. Raises FormatError, LimitError, and UnsupportedError for other versions of the format."""
    top, end = boxes.top_level(source)
    for number, box in enumerate(top):
        if box.kind == b"ftyp" and number:  # another file begins, such as the video of a motion photo
            top, end = top[:number], box.start
            break
    kinds = [box.kind for box in top]
    if kinds[:1] != [b"ftyp"]:
        raise FormatError(human_format("heif"), "ftyp", 0, "the first box is not a complete file type box")
    ftyp = boxes.content(human_format("heif"), source, top[0])
    brands = [ftyp[at : at + 4] for at in (0, *range(8, len(ftyp) - 3, 4))]
    title = human_format("avif" if AVIF_BRANDS.intersection(brands) else "heif")
    if b"meta" not in kinds:
        if b"mini" in kinds:
            raise UnsupportedError(f"{title}: can't remove metadata from a file with a mini box")
        raise FormatError(title, "meta", None, "no complete meta box")
    meta = top[kinds.index(b"meta")]
    heif = Heif(title, brands, top, end, -1, {}, [], [], [])
    _read_meta(heif, source, meta)
    return heif


def _read_meta(heif: Heif, source: Readable, meta: Box) -> None:
    data = boxes.content(heif.title, source, meta)
    found: dict[bytes, tuple[bytes, int]] = {}
    for kind, content, at in boxes.children(heif.title, data, 4):
        if kind not in found:
            found[kind] = content, meta.content + at
        elif kind in (b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat", b"hdlr"):
            raise FormatError(heif.title, boxes.name(kind), found[kind][1], "occurs twice")
    for kind in (b"pitm", b"iinf", b"iloc", b"iprp"):
        if kind not in found:
            if any(box.kind == b"moov" for box in heif.top):
                raise UnsupportedError(f"{heif.title}: image sequences without a still image are not supported")
            raise FormatError(heif.title, "meta", meta.start, f"no {boxes.name(kind)} box")
    fields = {kind: Fields(heif.title, boxes.name(kind), content) for kind, (content, _) in found.items()}
    if b"hdlr" in fields and fields[b"hdlr"].data[8:12] != b"pict":
        raise FormatError(heif.title, "hdlr", None, "the handler type is not pict")
    _note_others(heif, {kind: content for kind, (content, _) in found.items()})
    version, _ = fields[b"pitm"].version()
    heif.primary = fields[b"pitm"].number(4 if version else 2)
    _read_items(heif, fields[b"iinf"])
    if b"idat" in found:
        heif.idat = found[b"idat"][1], len(found[b"idat"][0])
    _read_locations(heif, fields[b"iloc"], source.size)
    if b"iref" in fields:
        _read_references(heif, fields[b"iref"])
    _read_properties(heif, fields[b"iprp"].data)
    if b"grpl" in fields:
        _read_groups(heif, fields[b"grpl"].data)
    if heif.primary not in heif.items:
        raise FormatError(heif.title, "pitm", None, f"no item {heif.primary}")


def _note_others(heif: Heif, found: dict[bytes, bytes]) -> None:
    """Note the content of the meta box that is not read, unless it is empty."""
    for kind, content in found.items():
        if kind == b"hdlr" and content[24:].strip(b" \0") not in COMMON_HANDLERS:
            heif.others.append("handler name")
        elif kind in (b"free", b"skip") and content.strip(b"\0"):
            heif.others.append("non-zero padding")
        elif kind == b"dinf" and len(content) > 28:
            heif.others.append("box dinf")
        elif kind not in READ:
            heif.others.append(f"box {boxes.name(kind)}")


def _read_items(heif: Heif, fields: Fields) -> None:
    version, _ = fields.version()
    fields.number(4 if version else 2)
    for kind, content, _ in boxes.children(heif.title, fields.data, fields.at):
        if kind != b"infe":
            continue
        entry = Fields(heif.title, "infe", content)
        version, flags = entry.version()
        if version not in (2, 3):
            raise UnsupportedError(f"{heif.title}: item information entry version {version}")
        number, protection = entry.number(2 if version == 2 else 4), entry.number(2)
        item = Item(number, entry.take(4), hidden=bool(flags & 1))
        item.name = entry.text()
        item.media = entry.text() if item.kind == b"mime" else b""
        item.name += b"" if item.kind in (b"mime", b"uri ") else entry.take(entry.left)
        if len(heif.items) == ITEMS_MAX:
            raise LimitError(f"{heif.title}: more than {ITEMS_MAX} items")
        if number in heif.items:
            raise FormatError(heif.title, "infe", None, f"two items have the ID {number}")
        heif.items[number] = item
        if protection:
            item.obstacle = "it is protected"


def _read_locations(heif: Heif, fields: Fields, file_bytes: int) -> None:
    """Read the iloc box (8.11.3)."""
    version, _ = fields.version()
    if version > 2:
        raise UnsupportedError(f"{heif.title}: item location box version {version}")
    sizes = fields.number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    extents = 0
    located: set[int] = set()
    for _ in range(fields.number(4 if version == 2 else 2)):
        number = fields.number(4 if version == 2 else 2)
        if number in located:
            raise fields.broken(f"item {number} has two locations")
        located.add(number)
        item = heif.items.get(number, Item(number, b""))
        method = fields.number(2) & 15 if version else 0
        reference = fields.number(2)
        base = fields.number(base_size)
        count = fields.number(2)
        extents += count
        if extents > EXTENTS_MAX:
            raise LimitError(f"{heif.title}: more than {EXTENTS_MAX} item extents")
        item.in_idat = method == 1
        if reference != IDENTICAL_FILE:
            item.obstacle = "its data is in another file"
        elif method > 1:
            item.obstacle = "its data is constructed from other items"
        first, limit = (0, file_bytes) if method != 1 else heif.idat or (0, 0)
        item.extents = []
        for _ in range(count):
            if version:
                fields.take(index_size)
            offset = base + fields.number(offset_size)
            length = fields.number(length_size) or max(0, limit - offset)
            if offset + length > limit and not item.obstacle:
                item.obstacle = f"its data extend beyond the {'file' if method != 1 else 'idat box'}"
            item.extents.append((first + offset, length))


def _read_references(heif: Heif, fields: Fields) -> None:
    version, _ = fields.version()
    size, links = 4 if version else 2, 0
    for kind, content, _ in boxes.children(heif.title, fields.data, fields.at):
        entry = Fields(heif.title, "iref", content)
        link = Reference(kind, entry.number(size), [])
        link.targets = [entry.number(size) for _ in range(entry.number(2))]
        links += 1 + len(link.targets)
        if links > LINKS_MAX:
            raise LimitError(f"{heif.title}: more than {LINKS_MAX} item references")
        heif.references.append(link)


def _read_properties(heif: Heif, data: bytes) -> None:
    """Read the item properties and their associations (8.11.14)."""
    associations: Sequence[bytes] = []
    for kind, content, _ in boxes.children(heif.title, data):
        if kind == b"ipco":
            heif.properties += [(kind, content) for kind, content, _ in boxes.children(heif.title, content)]
        elif kind == b"ipma":
            associations = [*associations, content]
    links = 0
    for content in associations:
        fields = Fields(heif.title, "ipma", content)
        version, flags = fields.version()
        wide = flags & 1
        for _ in range(fields.number(4)):
            item = heif.items.get(fields.number(4 if version else 2), Item(-1, b""))
            count = fields.number(1)
            links += 1 + count
            if links > LINKS_MAX:
                raise LimitError(f"{heif.title}: more than {LINKS_MAX} property associations")
            for _ in range(count):
                word = fields.number(2 if wide else 1)
                essential, index = divmod(word, 1 << (15 if wide else 7))
                if index > len(heif.properties):
                    raise fields.broken(f"no property {index}")
                if index and len(item.properties) == PROPERTIES_MAX:
                    raise fields.broken(f"item {item.number} has more than {PROPERTIES_MAX} properties")
                if index:
                    item.properties.append((index - 1, bool(essential)))


def _read_groups(heif: Heif, data: bytes) -> None:
    links = 0
    for kind, content, _ in boxes.children(heif.title, data):
        entry = Fields(heif.title, "grpl", content)
        entry.version()
        number = entry.number(4)
        members = [entry.number(4) for _ in range(entry.number(4))]
        links += len(members)
        if links > LINKS_MAX:
            raise LimitError(f"{heif.title}: more than {LINKS_MAX} group members")
        heif.groups.append((kind, number, members))
