"""The structure of TIFF, GIF, BMP and box-based files, without decoding an image."""
