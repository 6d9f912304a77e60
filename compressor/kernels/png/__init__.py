"""Kernels of PNG: filters, pixels, interlacing and deflate streams."""
