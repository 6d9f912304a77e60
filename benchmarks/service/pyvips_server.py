"""A gRPC server that recodes JPEG files with libvips, as its users would write it.

    python -m benchmarks.service.pyvips_server

One message has the whole file, another the whole result, and libjpeg holds the coefficients of a progressive file. It
has no settings, no limits, no metadata policy, no checksums and no metrics.
"""

from benchmarks.service import peer_server

OPTIONS = {"Q": 80, "optimize_coding": True, "interlace": True}


def recode(data: bytes) -> bytes:
    """Decode and encode a file."""
    import pyvips

    image = pyvips.Image.new_from_buffer(data, "", access="sequential")
    return bytes(image.jpegsave_buffer(**OPTIONS))


def main() -> None:
    """Serve on a free port until SIGTERM."""
    import pyvips

    pyvips.cache_set_max(0)  # a file that comes again would not be encoded again
    peer_server.serve(recode)


if __name__ == "__main__":
    main()
