"""Tests of the package, folder by folder as it is laid out, and what they share."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # of the repository
