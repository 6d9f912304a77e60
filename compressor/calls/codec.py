"""The real pipeline as the service's codec. Imported late: it brings Numba and every kernel."""

import functools

from compressor import kernels, pipeline, raster
from compressor.calls.call import Codec
from compressor.memory import Resources
from compressor.settings import Delivery, Effort, Raw, Settings, Tile


def pipeline_codec(memory_budget: int, spool_dir: str | None, spool_budget: int | None, call_bytes: int) -> Codec:
    """The pipeline with a byte budget and a spool for this process. Each call is charged `call_bytes` for itself."""
    resources = Resources(
        memory_budget=memory_budget, spool_dir=spool_dir, spool_budget=spool_budget, overhead=call_bytes
    )
    return Codec(
        stream=pipeline.stream,
        inspect=functools.partial(pipeline.inspect, resources=resources),
        resources=resources,
        warm_up=warm_up,
        reserved_bytes=lambda: resources.reserved_bytes,
        byte_seconds=resources.held.byte_seconds,
    )


def warm_up() -> None:
    """Load every kernel and Pillow, then run what a first call would otherwise wait for or be charged for."""
    kernels.warmup()
    assert raster.PLUGINS
    raw = Raw(width=32, height=32, channels=3, tile_width=32, tile_height=32)
    tile = Tile(0, 0, bytes(range(256)) * 12)
    for effort in (Effort.FAST, Effort.BALANCED):
        settings = Settings(effort=effort, delivery=Delivery.SAFE)
        with pipeline.stream([tile], settings, raw=raw) as stream:
            jpeg = b"".join(stream)
        for lossless in (False, True):
            with pipeline.stream([jpeg], Settings(effort=effort, lossless=lossless)) as stream:
                b"".join(stream)
