"""Archives: JPEG files as JPEG XL, of which the same files are made again, byte for byte (ISO/IEC 18181-2, box "jbrd").

`library` transcodes whole files in memory, and says how much that takes; `header` reads what an archive asks for, and
`child` makes its JPEG in a process that can take no more.
"""

from compressor.archive.child import unarchived
from compressor.archive.header import ArchiveHeader, read_header
from compressor.archive.library import (
    PROCESS_BYTES,
    ArchiveError,
    archiving_bytes,
    jpeg_bytes_max,
    jpeg_of,
    jxl_of,
    require_library,
    unarchiving_bytes,
)

__all__ = [
    "PROCESS_BYTES",
    "ArchiveError",
    "ArchiveHeader",
    "archiving_bytes",
    "jpeg_bytes_max",
    "jpeg_of",
    "jxl_of",
    "read_header",
    "require_library",
    "unarchived",
    "unarchiving_bytes",
]
