"""The HTTP door: images in, smaller images out, over HTTP/1.1."""
