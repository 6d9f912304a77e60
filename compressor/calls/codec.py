"""The codec that runs the pipeline. Import it late: it loads every kernel."""

from compressor import kernels, pipeline, raster
from compressor.calls.call import Codec
from compressor.memory import Resources
from compressor.settings import Delivery, Effort, Raw, Settings, Tile


def pipeline_codec(resources: Resources) -> Codec:
    """Return the codec of a process, whose calls share `resources`."""
    return Codec(resources, pipeline.stream, pipeline.inspect, pipeline.unarchive_stream, warm_up)


def warm_up() -> None:
    """Load every kernel and Pillow, then run what a first call would otherwise wait for or be charged for."""
    kernels.import_all()
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
