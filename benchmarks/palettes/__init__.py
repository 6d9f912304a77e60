"""Palettes: bytes, score and CPU time beside pngquant."""
