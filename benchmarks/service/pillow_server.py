"""A gRPC server that recodes JPEG files with Pillow, as its users would write it.

    python -m benchmarks.service.pillow_server

Like `pyvips_server`, but each call holds the whole image.
"""

import io

from PIL import Image

from benchmarks.service import peer_server

OPTIONS = {"quality": 80, "optimize": True, "progressive": True}


def recode(data: bytes) -> bytes:
    """Decode and encode a file."""
    result = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.save(result, "JPEG", **OPTIONS)
    return result.getvalue()


if __name__ == "__main__":
    peer_server.serve(recode)
