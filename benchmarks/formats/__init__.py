"""Formats: scores of one quality in each of them, and the choice of `auto` against the best of all encodings."""
