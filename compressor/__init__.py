"""Image compression in bounded memory, in this process or by a gRPC service.

    result = compressor.compress("photo.jpg", quality=80)     # result.save("small.jpg"), result.data, result.report
    for chunk in compressor.stream(chunks, quality=80): ...   # any size, never held as a whole
    with compressor.Client("localhost:50051") as client:      # the same methods, run by a service
        result = client.compress("photo.jpg", quality=80)

Names are loaded when they are first used: importing the codec with NumPy takes 0.15 s, gRPC 0.05 s, and most programs
need only one of them.
"""

TYPE_CHECKING = False  # type checkers know this name, too; typing takes longer to import than the interpreter to start
if TYPE_CHECKING:
    from typing import Any

    from compressor.choices import ContentCredentials as ContentCredentials
    from compressor.choices import Delivery as Delivery
    from compressor.choices import Effort as Effort
    from compressor.choices import Format as Format
    from compressor.choices import Metadata as Metadata
    from compressor.choices import SettingsFields as SettingsFields
    from compressor.choices import Subsampling as Subsampling
    from compressor.client import AsyncClient as AsyncClient
    from compressor.client import Client as Client
    from compressor.errors import BusyError as BusyError
    from compressor.errors import CallError as CallError
    from compressor.errors import CompressorError as CompressorError
    from compressor.errors import FormatError as FormatError
    from compressor.errors import IdleError as IdleError
    from compressor.errors import IncompleteError as IncompleteError
    from compressor.errors import LimitError as LimitError
    from compressor.errors import SettingsError as SettingsError
    from compressor.errors import SpoolError as SpoolError
    from compressor.errors import UnsupportedError as UnsupportedError
    from compressor.memory import Resources as Resources
    from compressor.pipeline import compress as compress
    from compressor.pipeline import inspect as inspect
    from compressor.pipeline import stream as stream
    from compressor.pipeline import unarchive as unarchive
    from compressor.pipeline import unarchive_stream as unarchive_stream
    from compressor.results import Result as Result
    from compressor.settings import Outcome as Outcome
    from compressor.settings import Path as Path
    from compressor.settings import Raw as Raw
    from compressor.settings import Report as Report
    from compressor.settings import Settings as Settings
    from compressor.settings import Source as Source
    from compressor.settings import Tile as Tile

# The same names at run time; a test compares the two.
_MODULES = {
    "choices": ("ContentCredentials", "Delivery", "Effort", "Format", "Metadata", "SettingsFields", "Subsampling"),
    "client": ("AsyncClient", "Client"),
    "errors": (
        "BusyError",
        "CallError",
        "CompressorError",
        "FormatError",
        "IdleError",
        "IncompleteError",
        "LimitError",
        "SettingsError",
        "SpoolError",
        "UnsupportedError",
    ),
    "memory": ("Resources",),
    "pipeline": ("compress", "inspect", "stream", "unarchive", "unarchive_stream"),
    "results": ("Result",),
    "settings": (
        "Outcome",
        "Path",
        "Raw",
        "Report",
        "Settings",
        "Source",
        "Tile",
    ),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> "Any":
    """Load a public name, or `__version__`, and keep it, so that this is called once for each (PEP 562)."""
    import importlib

    if name == "__version__":
        value = importlib.import_module(f"{__name__}.settings").VERSION
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names only, without those that this module needs itself."""
    return sorted({*_HOME, "__version__"})
