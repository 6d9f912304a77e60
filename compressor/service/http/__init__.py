"""The HTTP front end: images in, smaller images out, over HTTP/1.1."""
