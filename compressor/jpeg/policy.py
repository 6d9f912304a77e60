"""Reduction of a JPEG's metadata segments by a policy, one at a time: removed segments need not be held."""

from compressor import icc as profiles
from compressor.jpeg import mpf
from compressor.jpeg.attachments import ADOBE, EXIF, EXIF_BYTES, EXIF_START, GAIN_MAP, ICC, JFIF, XMP, joined_icc
from compressor.jpeg.frame import Segment
from compressor.jpeg.markers import MarkerReader
from compressor.metadata import (
    ADOBE_RGB_REMOVED,
    CREDENTIALS_REMOVED,
    is_adobe_rgb,
    lost_colors,
    orientation,
    orientation_exif,
)
from compressor.settings import Metadata
from compressor.t81 import APP0, APP1, APP2, APP14

APP11 = APP0 + 11
JFIF_BYTES = 14  # ITU-T T.871, 10.1: up to the thumbnail
ADOBE_BYTES = 12  # Adobe technical note 5116, section 18: up to the transform flag
START_BYTES = 64  # of a segment's data, enough to identify it
JUMBF = b"JP"  # ISO/IEC 19566-5, D.2: common identifier; then box instance, packet number, length, type of the box
C2PA = b"c2pa"  # C2PA specification 2.1, 11.1.4.2: start of the UUID of a manifest store's description box
NEVER = 1 << 62
PROFILE_BYTES_MAX = 1 << 20  # of a removed profile that is held for its notice
PICTURES_REMOVED = "additional images in the file (MPF) were removed"


class SegmentReducer:
    """Reduction of APPn and COM segments in the order of the file.

    KEEP keeps all but content credentials. COLOR keeps the ICC profile, the orientation, and the metadata of a gain
    map. STRIP keeps the orientation. All keep JFIF and Adobe, which define the color space of the components; COLOR
    and STRIP keep no other part of these segments.

    policy       metadata policy
    first        whether the picture is the file's first one; additional ones have no index of pictures
    credentials  whether content credentials were found
    """

    def __init__(self, policy: Metadata, *, first: bool = True) -> None:
        self.policy, self._first = policy, first
        self.credentials = False
        self._manifests: set[bytes] = set()  # box instances that hold credentials
        self._has_orientation = self._is_adobe_rgb = False
        self._has_profile = self._has_index = self._lost_pictures = False
        self._profile: list[bytes] = []
        self._profile_pieces = self._profile_left = 0  # seen so far; bytes that are still to come

    def is_needed(self, marker: int, start: bytes) -> bool:
        """Return whether `reduce` needs a segment; else it can be skipped.

        start  the first START_BYTES of its data, or all if it is shorter
        """
        if marker == APP11 and self._is_manifest(start):
            return False
        if self.policy is Metadata.KEEP:
            return True
        if marker == APP2 and start.startswith(ICC):
            self._has_profile = True
            return self.policy is Metadata.COLOR or sum(map(len, self._profile)) < PROFILE_BYTES_MAX
        if marker == APP1 and start.startswith(EXIF_START):
            return True
        if (marker == APP0 and start.startswith(JFIF)) or (marker == APP14 and start.startswith(ADOBE)):
            return True
        if self.policy is Metadata.STRIP and marker == APP2 and start.startswith(mpf.IDENTIFIER):
            self._lost_pictures = True
        kept = {APP1: XMP, APP2: (GAIN_MAP, mpf.IDENTIFIER) if self._first else GAIN_MAP}.get(marker)
        return kept is not None and self.policy is Metadata.COLOR and start.startswith(kept)

    def _is_manifest(self, start: bytes) -> bool:
        """Return whether an APP11 segment belongs to content credentials. Later packets have only the instance."""
        if not start.startswith(JUMBF):
            return False
        instance = start[2:4]
        if C2PA in start[24:]:
            self._manifests.add(instance)
        self.credentials |= instance in self._manifests
        return instance in self._manifests

    def reduce(self, segment: Segment) -> Segment | None:
        """Return the reduced form of a needed segment; None to remove it."""
        if self.policy is Metadata.KEEP:
            return segment
        marker, data = segment.marker, segment.data
        if marker == APP0:
            whole = len(data) >= JFIF_BYTES
            return Segment(APP0, data[: JFIF_BYTES - 2] + b"\0\0") if whole else segment
        if marker == APP14:
            return Segment(APP14, data[:ADOBE_BYTES])
        if marker == APP1 and data.startswith(EXIF_START):
            return self._reduce_exif(data[EXIF_BYTES:])
        if marker == APP2 and data.startswith(ICC) and self.policy is Metadata.STRIP:
            self._profile.append(data[len(ICC) :])
            return None
        if marker == APP2 and data.startswith(ICC):
            return self._reduce_profile(data)
        if marker == APP2 and data.startswith(mpf.IDENTIFIER):
            return self._reduce_index(segment)
        if marker == APP1:
            reduced = (mpf.reduced_xmp if self._first else mpf.reduced_parameters)(data[len(XMP) :])
            return None if reduced is None else Segment(APP1, XMP + reduced)
        return segment

    def _reduce_profile(self, data: bytes) -> Segment | None:
        """Truncate a piece of the profile where the profile ends, by its size field, if the pieces are in order."""
        head, piece = data[: len(ICC) + 2], data[len(ICC) + 2 :]
        self._profile_pieces += 1
        if head[len(ICC) :][:1] != bytes([self._profile_pieces & 0xFF]):
            self._profile_left = NEVER
        elif self._profile_pieces == 1:
            size = int.from_bytes(piece[:4], "big")
            self._profile_left = size if size >= profiles.HEADER_BYTES else NEVER
        piece, self._profile_left = piece[: self._profile_left], max(0, self._profile_left - len(piece))
        return Segment(APP2, head + piece)

    def _reduce_index(self, index: Segment) -> Segment | None:
        """Keep one index that can be read."""
        self._lost_pictures |= not mpf.is_readable(index)
        if self._lost_pictures or self._has_index:
            return None
        self._has_index = True
        return index

    def _reduce_exif(self, exif: bytes) -> Segment | None:
        """Keep the orientation."""
        self._is_adobe_rgb |= is_adobe_rgb(exif)
        found = orientation(exif)
        if found == 1 or self._has_orientation:
            return None
        self._has_orientation = True
        return Segment(APP1, EXIF + orientation_exif(found))

    def notices(self) -> list[str]:
        """Return notices of removals that change how the picture is shown or trusted; complete after the last
        segment."""
        found = [CREDENTIALS_REMOVED] if self.credentials else []
        if self._lost_pictures:
            found.append(PICTURES_REMOVED)
        if self.policy is Metadata.STRIP and self._has_profile:
            profile = joined_icc(self._profile)
            if profile is None or sum(map(len, self._profile)) >= PROFILE_BYTES_MAX:
                return [*found, "an ICC profile was removed: colors may differ"]
            return [*found, *lost_colors(profile, None)]
        if self.policy is not Metadata.KEEP and self._is_adobe_rgb and not self._has_profile:
            return [*found, ADOBE_RGB_REMOVED]
        return found


def read_metadata(reader: MarkerReader, reducer: SegmentReducer, in_head: bool = True) -> Segment | None:
    """Take the APPn or COM segment of the current marker, and return its reduced form; None if it is removed.

    in_head  whether it is before the first scan
    """
    marker, at = reader.marker, reader.at + 4
    wanted = in_head or reducer.policy is Metadata.KEEP
    if not (reducer.is_needed(marker, reader.start(START_BYTES)) and wanted):
        reader.pass_over()
        return None
    held = reducer.policy is Metadata.KEEP
    segment = Segment(marker, reader.parameters(held=held), at)
    left = reducer.reduce(segment)
    if left is not None and left is not segment:
        left = Segment(marker, left.data, at)
    if not held:
        reader.release(len(segment.data), 0 if left is None else len(left.data))
    return left
