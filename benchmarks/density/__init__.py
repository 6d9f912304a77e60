"""Bytes at equal visual quality, by four judges."""
