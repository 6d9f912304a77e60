"""Encoding and decoding speed, interleaved with peers."""
